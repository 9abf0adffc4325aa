// What happens inside Redis. Each script is one step that nobody else's can come between, takes
// a whole batch, and reads the server's clock itself.
//
//   R1. A row is a hash: `id`, `made` (token, when, and what was said, which never change for a
//       lease), `rev`, `end` (µs) and `ttl` (ms), which goes with the release. A lease is held
//       while it has its `ttl` and `end` is after now.
//   R2. A row stays when its lease has ended, with its token and lease id, until it has not been
//       needed for a day; keys have no ttl of their own, so no clock but `end` decides.
//   R3. `state` keeps the greatest token ever given. Tokens therefore grow even for a resource
//       whose row has been pruned, and the wall clock makes them grow when everything is lost.
//   R4. Every script begins with a write that changes nothing: a replica refuses it, so nobody
//       is answered from a copy.
//   R5. A server without memory refuses a script's first write alone. After the one of R4, which
//       needs none, it lets everything pass: leases are renewed and released on a full server.
//       What would be new begins with a write that needs memory, and heeds the refusal.
//   R6. Tokens and times have 16 digits. As arguments and answers Redis passes all of them on;
//       Lua's own tostring and `..` keep 14, so what becomes part of a text goes through int().
//   R7. An error ends a script, and the questions behind it: what another program has put where a
//       row should be is found out first, and is the answer to its own question alone.

import { createHash } from "node:crypto";

/** A script, and the name by which a server knows it once it has seen it. */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

/** How many values there are for each question: kind, id, made, rev, end, ttl. */
export const VALUES_PER_ANSWER = 6;

const PRELUDE = `
local state = KEYS[1]
redis.call('HDEL', state, '')
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local call, max = redis.call, math.max
local function int(number) return string.format('%.0f', number) end
local function read(key)
  local row = redis.pcall('HMGET', key, 'id', 'made', 'rev', 'end', 'ttl')
  if row.err or not (row[1] or row[2] or row[3] or row[4] or row[5]) then return row end
  local isours = row[1] and row[2] and string.match(row[2], '^%d+ %d+ ') and tonumber(row[3])
    and tonumber(row[4]) and (not row[5] or tonumber(row[5]))
  return isours and row or {err = 'its fields are not those of a lease'}
end
local function isheld(row) return row[5] and tonumber(row[4]) > now end
local function tokenof(row) return row[2] and tonumber(string.match(row[2], '^%d+')) or 0 end
local reply, size = {now}, 1
local function answer(kind, id, made, rev, finish, ttl)
  reply[size + 1], reply[size + 2], reply[size + 3] = kind, id or '', made or ''
  reply[size + 4], reply[size + 5], reply[size + 6] = rev or 0, finish or 0, ttl or 0
  size = size + 6
end
local function extended(kind, key, row, ttl, age)
  local rev = tonumber(row[3]) + 1
  local finish = max(tonumber(row[4]), now + (ttl - age) * 1000)
  call('HSET', key, 'rev', rev, 'end', finish, 'ttl', ttl)
  answer(kind, row[1], row[2], rev, finish, ttl)
end
`;

function script(body: string, before = ""): Script {
  const text = `${before}${PRELUDE}${body}`.trim();
  return { text, sha: createHash("sha1").update(text).digest("hex") };
}

// R5
const ROOM = `local room = redis.pcall('HSETNX', KEYS[1], 'format', 1)`;

const ACQUIRING = `
local full = type(room) == 'table' and room.err
local names, ends = KEYS[2], KEYS[3]
local last, added = nil, 0
local function acquire(key, name, id, ttl, said)
  local row = read(key)
  if row.err then
    answer('fault', row.err)
  elseif isheld(row) then
    if row[1] == id then
      extended('extended', key, row, ttl, 0)
      return true
    end
    answer('held', row[1], row[2], row[3], row[4], row[5])
  elseif row[1] == id then
    answer('spent')
  elseif full then
    answer('fault', full)
  else
    if not last then last = tonumber(call('HGET', state, 'token') or 0) end
    last = max(last + 1, tokenof(row) + 1, now)
    local made = int(last) .. ' ' .. int(now) .. ' ' .. said
    local finish = now + ttl * 1000
    call('HSET', key, 'id', id, 'made', made, 'rev', last, 'end', finish, 'ttl', ttl)
    call('ZADD', names, 0, name)
    if not row[1] then
      call('ZADD', ends, finish, name)
      added = added + 1
    end
    answer('granted', id, made, last, finish, ttl)
    return true
  end
end
`;

const ACQUIRED = `
if last then call('HSET', state, 'token', last) end
if added > 0 then
  local before, most = now - tonumber(ARGV[1]) * 1000, math.min(added * 4, 1000)
  for _, name in ipairs(call('ZRANGEBYSCORE', ends, 0, before, 'LIMIT', 0, most)) do
    size = size + 1
    reply[size] = name
  end
end
return reply
`;

const RELEASING = `
local function release(key, name, id, rev)
  local row = read(key)
  if row.err then
    answer('fault', row.err)
  elseif row[1] == id and isheld(row) and (rev == '' or rev == row[3]) then
    call('HDEL', key, 'ttl')
    call('ZREM', KEYS[2], name)
    answer('released')
    return true
  else
    answer('not-held')
  end
end
local function tell(channel, name) redis.pcall('PUBLISH', channel, name) end
`;

/**
 * KEYS state names ends row...; ARGV keepMs, then name leaseId ttlMs said of each.
 * Answers now, the answers, and behind them names of rows that may be pruned.
 */
export const ACQUIRE = script(
  `${ACQUIRING}
for i = 1, #KEYS - 3 do
  local at = 1 + (i - 1) * 4
  acquire(KEYS[i + 3], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4])
end
${ACQUIRED}`,
  ROOM,
);

/**
 * KEYS state names ends row...; ARGV keepMs channel, then name leaseId revision (or empty) newId
 * ttlMs said of each. Answers now, those to the releases, those to the acquires, and names as
 * ACQUIRE does. What is held again at once is told to nobody.
 */
export const HAND_OVER = script(
  `${ACQUIRING}${RELEASING}
local count, released = #KEYS - 3, {}
for i = 1, count do
  local at = 2 + (i - 1) * 6
  released[i] = release(KEYS[i + 3], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
end
for i = 1, count do
  local at = 2 + (i - 1) * 6
  local name = ARGV[at + 1]
  local isheld = acquire(KEYS[i + 3], name, ARGV[at + 4], tonumber(ARGV[at + 5]), ARGV[at + 6])
  if released[i] and not isheld then tell(ARGV[2], name) end
end
${ACQUIRED}`,
  ROOM,
);

/** KEYS state row...; ARGV leaseId ttlMs ageMs of each, the ttl empty to keep the lease's own. */
export const RENEW = script(`
for i = 1, #KEYS - 1 do
  local key, at = KEYS[i + 1], (i - 1) * 3
  local row = read(key)
  if row.err then
    answer('fault', row.err)
  elseif row[1] == ARGV[at + 1] and isheld(row) then
    local ttl = tonumber(ARGV[at + 2]) or tonumber(row[5])
    extended('renewed', key, row, ttl, tonumber(ARGV[at + 3]))
  else
    answer('lost')
  end
end
return reply
`);

/** KEYS state names row...; ARGV channel, then name leaseId revision of each (or empty). */
export const RELEASE = script(`${RELEASING}
for i = 1, #KEYS - 2 do
  local at = 1 + (i - 1) * 3
  local name = ARGV[at + 1]
  if release(KEYS[i + 2], name, ARGV[at + 2], ARGV[at + 3]) then tell(ARGV[1], name) end
end
return reply
`);

/** KEYS state row... */
export const CURRENT = script(`
for i = 1, #KEYS - 1 do
  local row = read(KEYS[i + 1])
  if row.err then
    answer('fault', row.err)
  elseif isheld(row) then
    answer('held', row[1], row[2], row[3], row[4], row[5])
  else
    answer('free')
  end
end
return reply
`);

/** KEYS state names; ARGV least, greatest, count: names that are or were held, in byte order. */
export const NAMES = script(`
return call('ZRANGEBYLEX', KEYS[2], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
`);

/** KEYS state names ends row...; ARGV keepMs, then the name of each. Answers how many went. */
export const PRUNE = script(`
local pruned, last = 0, tonumber(call('HGET', state, 'token') or 0)
for i = 1, #KEYS - 3 do
  local key, name = KEYS[i + 3], ARGV[i + 1]
  local row = read(key)
  if row.err then
    call('ZREM', KEYS[3], name)
  elseif row[1] and tonumber(row[4]) + tonumber(ARGV[1]) * 1000 > now then
    call('ZADD', KEYS[3], row[4], name)
  else
    if tokenof(row) > last then
      last = tokenof(row)
      call('HSET', state, 'token', last)
    end
    call('ZREM', KEYS[3], name)
    call('ZREM', KEYS[2], name)
    call('DEL', key)
    pruned = pruned + 1
  end
end
return pruned
`);

/**
 * KEYS state; ARGV channel. A real write: nothing less tells a full disk, or that too few
 * replicas follow. Answers the format of what is stored, and why no hint can be sent.
 */
export const CHECK = script(
  `
call('HSET', state, 'checked', now)
local sent = redis.pcall('PUBLISH', ARGV[1], '')
return {call('HGET', state, 'format') or '', type(sent) == 'table' and sent.err or ''}
`,
  `redis.call('HSETNX', KEYS[1], 'format', 1)`,
);

/** KEYS state: the format of what is stored. Finds the node that has it, in a cluster. */
export const FORMAT = script(`
return call('HGET', state, 'format') or ''
`);

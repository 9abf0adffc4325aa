// What happens inside Redis. Each script is one step that nobody else's can come between, takes
// a whole batch, and reads the server's clock itself.
//
//   R1. A row is a hash: `id token rev created end ttl said`, and `held` while it has not been
//       released. A lease is held while `held` is there and `end` is after now (µs).
//   R2. A row stays when its lease has ended, with its token and lease id, until it has not been
//       needed for a day; keys have no ttl of their own, so no clock but `end` decides.
//   R3. `state` keeps the greatest token ever given. Tokens therefore grow even for a resource
//       whose row has been pruned, and the wall clock makes them grow when everything is lost.
//   R4. Every script begins with a write that changes nothing: a replica refuses it, so nobody
//       is answered from a copy.
//   R5. Releasing needs no memory (HDEL, ZREM): a full server still lets go.
//   R6. Tokens and times have 16 digits. Lua's own tostring keeps 14 of them: int() writes all.

import { createHash } from "node:crypto";

/** A script, and the name by which a server knows it once it has seen it. */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

const PRELUDE = `
local state = KEYS[1]
redis.call('HDEL', state, '')
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local function int(number) return string.format('%.0f', number) end
local function read(key)
  return redis.pcall('HMGET', key, 'id', 'token', 'rev', 'created', 'end', 'ttl', 'said', 'held')
end
local function isheld(row) return row[8] and tonumber(row[5]) > now end
local function lease(kind, row)
  return {kind, row[1], row[2], row[3], row[4], row[5], row[6], row[7]}
end
local function extend(key, row, ttl, age)
  local until_ = now + (ttl - age) * 1000
  if until_ > tonumber(row[5]) then row[5] = int(until_) end
  row[6] = int(ttl)
  row[3] = int(tonumber(row[3]) + 1)
  redis.call('HSET', key, 'rev', row[3], 'end', row[5], 'ttl', row[6])
end
`;

function script(body: string): Script {
  const text = `${PRELUDE}${body}`.trim();
  return { text, sha: createHash("sha1").update(text).digest("hex") };
}

/**
 * KEYS state names ends row...; ARGV keepMs, then name leaseId ttlMs said of each.
 * Answers now, the answers, and names of rows that may be pruned.
 */
export const ACQUIRE = script(`
local names, ends = KEYS[2], KEYS[3]
local answers, last, added = {}, nil, 0
for i = 1, #KEYS - 3 do
  local key, at = KEYS[i + 3], 1 + (i - 1) * 4
  local name, id, ttl, said = ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4]
  local row = read(key)
  if row.err then
    answers[i] = {'fault', row.err}
  elseif isheld(row) and row[1] ~= id then
    answers[i] = lease('held', row)
  elseif isheld(row) then
    extend(key, row, ttl, 0)
    answers[i] = lease('extended', row)
  elseif row[1] == id then
    answers[i] = {'spent'}
  else
    if not last then last = tonumber(redis.call('HGET', state, 'token') or 0) end
    last = math.max(last + 1, tonumber(row[2] or 0) + 1, now)
    local token, finish = int(last), int(now + ttl * 1000)
    redis.call('HSET', key, 'id', id, 'token', token, 'rev', token, 'created', int(now),
      'end', finish, 'ttl', int(ttl), 'said', said, 'held', '1')
    redis.call('ZADD', names, 0, name)
    if not row[1] then
      redis.call('ZADD', ends, finish, name)
      added = added + 1
    end
    answers[i] = {'granted', id, token, token, int(now), finish, int(ttl), said}
  end
end
local due = {}
if last then redis.call('HSET', state, 'token', int(last), 'format', '1') end
if added > 0 then
  local before = int(now - tonumber(ARGV[1]) * 1000)
  due = redis.call('ZRANGEBYSCORE', ends, '-inf', before, 'LIMIT', 0, math.min(added * 4, 1000))
end
return {int(now), answers, due}
`);

/** KEYS state row...; ARGV leaseId ttlMs ageMs of each, the ttl empty to keep the lease's own. */
export const RENEW = script(`
local answers = {}
for i = 1, #KEYS - 1 do
  local key, at = KEYS[i + 1], (i - 1) * 3
  local row = read(key)
  if row.err then
    answers[i] = {'fault', row.err}
  elseif row[1] == ARGV[at + 1] and isheld(row) then
    extend(key, row, tonumber(ARGV[at + 2]) or tonumber(row[6]), tonumber(ARGV[at + 3]))
    answers[i] = lease('renewed', row)
  else
    answers[i] = {'lost'}
  end
end
return {int(now), answers}
`);

/** KEYS state names row...; ARGV channel, then name leaseId revision of each (or empty). */
export const RELEASE = script(`
local answers = {}
for i = 1, #KEYS - 2 do
  local key, at = KEYS[i + 2], 1 + (i - 1) * 3
  local row = read(key)
  if row.err then
    answers[i] = {'fault', row.err}
  elseif row[1] == ARGV[at + 2] and isheld(row)
      and (ARGV[at + 3] == '' or ARGV[at + 3] == row[3]) then
    redis.call('HDEL', key, 'held')
    redis.call('ZREM', KEYS[2], ARGV[at + 1])
    redis.pcall('PUBLISH', ARGV[1], ARGV[at + 1])
    answers[i] = {'released'}
  else
    answers[i] = {'not-held'}
  end
end
return {int(now), answers}
`);

/** KEYS state row... */
export const CURRENT = script(`
local answers = {}
for i = 1, #KEYS - 1 do
  local row = read(KEYS[i + 1])
  if row.err then
    answers[i] = {'fault', row.err}
  elseif isheld(row) then
    answers[i] = lease('held', row)
  else
    answers[i] = {'free'}
  end
end
return {int(now), answers}
`);

/** KEYS state names; ARGV least, greatest, count: names that are or were held, in byte order. */
export const NAMES = script(`
return redis.call('ZRANGEBYLEX', KEYS[2], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
`);

/** KEYS state names ends row...; ARGV keepMs, then the name of each. Answers how many went. */
export const PRUNE = script(`
local pruned, last = 0, tonumber(redis.call('HGET', state, 'token') or 0)
for i = 1, #KEYS - 3 do
  local key, name = KEYS[i + 3], ARGV[i + 1]
  local row = read(key)
  if row.err then
    redis.call('ZREM', KEYS[3], name)
  else
    if row[1] and tonumber(row[5]) + tonumber(ARGV[1]) * 1000 > now then
      redis.call('ZADD', KEYS[3], row[5], name)
    else
      if row[2] and tonumber(row[2]) > last then
        last = tonumber(row[2])
        redis.call('HSET', state, 'token', row[2])
      end
      redis.call('ZREM', KEYS[3], name)
      redis.call('ZREM', KEYS[2], name)
      redis.call('DEL', key)
      pruned = pruned + 1
    end
  end
end
return pruned
`);

/**
 * KEYS state; ARGV channel. A real write: nothing less tells a full disk, or that too few
 * replicas follow. Answers the format of what is stored, and why no hint can be sent.
 */
export const CHECK = script(`
redis.call('HSET', state, 'checked', int(now))
local sent = redis.pcall('PUBLISH', ARGV[1], '')
return {redis.call('HGET', state, 'format') or '', type(sent) == 'table' and sent.err or ''}
`);

/** KEYS state: the format of what is stored. Finds the node that has it, in a cluster. */
export const FORMAT = script(`
return redis.call('HGET', state, 'format') or ''
`);

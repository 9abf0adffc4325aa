"""The actor of the Python library, for asyncio. (README.md in the folder above.)"""

import asyncio
import json
import sys
import time
from typing import Any

from stormlock_client import LockHeld, StormlockError, aio

holds: dict[str, aio.Hold] = {}


def say(**words: Any) -> None:
    print(json.dumps(words), flush=True)


async def hold(client: aio.Client, order: dict[str, Any]) -> None:
    resource = order["resource"]
    try:
        lease = await client.hold(resource, ttl=order["ttlMs"] / 1000, wait=order["waitMs"] / 1000)
    except LockHeld as held:
        holder = "" if held.holder is None else held.holder.principal
        say(says="refused", resource=resource, principal=holder)
    except StormlockError as error:
        say(says="failed", resource=resource, why=str(error))
    else:
        holds[resource] = lease
        say(says="granted", resource=resource, token=str(lease.token))
        await lease.lost
        say(says="lost", resource=resource)


async def release(order: dict[str, Any]) -> None:
    resource = order["resource"]
    lease = holds.get(resource)
    was_kept = lease is not None and await lease.release() != "not-held"
    was_kept = was_kept and lease is not None and lease.state == "RELEASED"
    say(says="released", resource=resource, wasKept=was_kept)


async def watch(every: float) -> None:
    while True:
        for resource, lease in list(holds.items()):
            at_ms = time.clock_gettime(time.CLOCK_MONOTONIC) * 1000
            if lease.held:
                say(says="held", resource=resource, atMs=at_ms)
        await asyncio.sleep(every)


async def main(servers: str, principal: str, every_ms: str = "10") -> None:
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    tasks = {asyncio.ensure_future(watch(int(every_ms) / 1000))}
    async with aio.connect(servers, principal=principal) as client:
        async for line in orders:
            order = json.loads(line)
            doing = hold(client, order) if order["do"] == "hold" else release(order)
            tasks.add(asyncio.ensure_future(doing))
    for task in tasks:
        task.cancel()


asyncio.run(main(*sys.argv[1:]))

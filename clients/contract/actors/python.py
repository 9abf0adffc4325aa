"""The actor of the Python library, for threads. (README.md in the folder above.)"""

import json
import sys
import threading
import time
from typing import Any

import stormlock_client
from stormlock_client import Hold, LockHeld, StormlockError

servers, principal, *every_ms = sys.argv[1:]
every = int(every_ms[0]) / 1000 if every_ms else 0.01
holds: dict[str, Hold] = {}
speaking = threading.Lock()


def say(**words: Any) -> None:
    with speaking:
        print(json.dumps(words), flush=True)


def hold(client: stormlock_client.Client, order: dict[str, Any]) -> None:
    resource = order["resource"]
    try:
        lease = client.hold(resource, ttl=order["ttlMs"] / 1000, wait=order["waitMs"] / 1000)
    except LockHeld as held:
        holder = "" if held.holder is None else held.holder.principal
        say(says="refused", resource=resource, principal=holder)
    except StormlockError as error:
        say(says="failed", resource=resource, why=str(error))
    else:
        holds[resource] = lease
        lease.on_lost(lambda _: say(says="lost", resource=resource))
        say(says="granted", resource=resource, token=str(lease.token))


def release(order: dict[str, Any]) -> None:
    resource = order["resource"]
    lease = holds.get(resource)
    was_kept = lease is not None and lease.release() != "not-held" and lease.state == "RELEASED"
    say(says="released", resource=resource, wasKept=was_kept)


def watch() -> None:
    while True:
        for resource, lease in list(holds.items()):
            at_ms = time.clock_gettime(time.CLOCK_MONOTONIC) * 1000
            if lease.held:
                say(says="held", resource=resource, atMs=at_ms)
        time.sleep(every)


threading.Thread(target=watch, daemon=True).start()
with stormlock_client.connect(servers, principal=principal) as client:
    for line in sys.stdin:
        order = json.loads(line)
        args = (client, order) if order["do"] == "hold" else (order,)
        threading.Thread(target=globals()[order["do"]], args=args, daemon=True).start()

"""Named locks with leases and fencing tokens, from a Stormlock daemon.

    import stormlock_client

    with stormlock_client.connect(["127.0.0.1:7420"]) as client:
        with client.hold("deploy", ttl=30) as lease:
            write(token=lease.token)

`stormlock_client.aio` is the same for asyncio. All times are seconds.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator, Mapping, Optional, Sequence, Union

from ._address import Tls
from ._belief import State
from ._calls import Granted
from ._client import Client
from ._clock import monotonic
from ._environment import settled
from ._errors import (
    Cancelled,
    InvalidField,
    LeaseLost,
    LockHeld,
    NotAllowed,
    Refused,
    StormlockError,
    Unavailable,
    Unreachable,
)
from ._hold import Hold
from ._holding import OnQueued
from ._lease import Lease, new_lease_id
from ._order import Outcome

__all__ = [
    "Cancelled",
    "Client",
    "Granted",
    "Hold",
    "InvalidField",
    "Lease",
    "LeaseLost",
    "LockHeld",
    "NotAllowed",
    "OnQueued",
    "Outcome",
    "Refused",
    "State",
    "StormlockError",
    "Tls",
    "Unavailable",
    "Unreachable",
    "connect",
    "hold",
    "monotonic",
    "new_lease_id",
]


def connect(
    servers: Union[str, Sequence[str], None] = None,
    *,
    tls: Optional[Tls] = None,
    principal: Optional[str] = None,
    patience: float = 10.0,
) -> Client:
    """A client of one or more daemons over one store. It connects with the first call, and to the
    next daemon when one does not answer.

    servers: in the order of preference, `host:port`, `[::1]:port` or `unix:/path`. Left out, the
    environment says all that is left out, as for the command line: STORMLOCK_SERVER,
    STORMLOCK_TTL (for every call that says no ttl), STORMLOCK_TLS, STORMLOCK_CA, STORMLOCK_CERT,
    STORMLOCK_KEY, STORMLOCK_PRINCIPAL.
    principal: who asks; the server's default when it is left out.
    patience: seconds to go on asking when there is no definite answer.

    Raises InvalidField when an address or a file is no good.
    """
    return Client(settled(servers, tls, principal, patience))


@contextmanager
def hold(
    resource: str,
    *,
    ttl: Optional[float] = None,
    wait: Optional[float] = None,
    reason: str = "",
    labels: Optional[Mapping[str, str]] = None,
    on_queued: Optional[OnQueued] = None,
) -> Iterator[Hold]:
    """Holds one lock for a block, by a client of its own that the environment describes.

    with stormlock_client.hold("deploy") as lease:
        write(token=lease.token)
    """
    with (
        connect() as client,
        client.hold(
            resource, ttl=ttl, wait=wait, reason=reason, labels=labels, on_queued=on_queued
        ) as lease,
    ):
        yield lease

"""What somebody wants to hold, and who hears what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Mapping, Optional, Protocol

from ._errors import InvalidField, LeaseLost, StormlockError
from ._gen import lock_pb2 as pb
from ._lease import Lease, duration_of

#: What a release met. not-held: it had ended before. unknown: no daemon has answered, or none
#: before the lease was gone, as it is after a release whose answer was lost.
Outcome = Literal["released", "not-held", "unknown"]

# A daemon takes 64 KiB, the lease id included.
MOST_BYTES = 60 * 1024


@dataclass(frozen=True)
class Order:
    """What somebody wants to hold."""

    resource: str
    principal: str = ""
    #: Seconds; None means the server's default.
    ttl: Optional[float] = None
    #: Seconds; None means without limit.
    wait: Optional[float] = None
    reason: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


class Listener(Protocol):
    """Who wants it. Called within the keeper: it must neither block nor call back into it."""

    def queued(self, position: int, holder: Optional[Lease]) -> None: ...

    def settled(self, error: Optional[StormlockError]) -> None:
        """The wait is over: it is held, or the error says why not."""

    def lost(self, error: LeaseLost) -> None: ...

    def gone(self, outcome: Outcome) -> None:
        """No daemon has anything to do with it any more, as far as is known."""


def acquire_of(order: Order) -> pb.HoldAcquire:
    """All of it that does not change. Raises InvalidField when it cannot be said."""
    try:
        ask = pb.HoldAcquire(
            resource=order.resource,
            principal=order.principal,
            reason=order.reason,
            labels=order.labels,
        )
        if order.ttl is not None:
            ask.ttl.CopyFrom(duration_of(order.ttl))
    except (TypeError, ValueError) as error:
        raise InvalidField(f"cannot be asked for: {error}") from error
    if ask.ByteSize() > MOST_BYTES:
        raise InvalidField(f"{ask.ByteSize()} bytes are too many to ask with; at most {MOST_BYTES}")
    return ask

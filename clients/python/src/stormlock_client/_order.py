"""What somebody wants to hold, and what becomes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, Mapping, Optional, Type, TypeVar, Union

from ._errors import InvalidField, LeaseLost, StormlockError
from ._gen import lock_pb2 as pb
from ._lease import Lease, duration_of

#: What a release met. not-held: it had ended before. unknown: no daemon has answered, or none
#: before the lease was gone, as it is after a release whose answer was lost.
Outcome = Literal["released", "not-held", "unknown"]

Ask = TypeVar("Ask", pb.HoldAcquire, pb.AcquireRequest)

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


@dataclass(frozen=True)
class Queued:
    """It stands in a queue."""

    position: int
    #: None when it is not known.
    holder: Optional[Lease]


@dataclass(frozen=True)
class Settled:
    """The wait is over: it is held, or the error says why not."""

    error: Optional[StormlockError]


@dataclass(frozen=True)
class Loss:
    error: LeaseLost


@dataclass(frozen=True)
class Gone:
    """No daemon has anything to do with it any more, as far as is known."""

    outcome: Outcome


#: What becomes of what somebody wants to hold. Whoever is told so, within the keeper, must neither
#: block nor call back into it.
News = Union[Queued, Settled, Loss, Gone]


def check_seconds(ttl: Optional[float], wait: Optional[float]) -> None:
    if ttl is not None and not (math.isfinite(ttl) and ttl > 0):
        raise InvalidField(f"ttl {ttl!r} is no time to live: give seconds, e.g. 30", "ttl")
    if wait is not None and not wait >= 0:
        raise InvalidField(
            f"wait {wait!r} is no time to wait: give seconds, or None for without limit", "wait"
        )


def acquire_of(order: Order, kind: Type[Ask]) -> Ask:
    """All of it that does not change, for a stream or a unary call. Raises InvalidField when it
    cannot be said."""
    try:
        ask = kind(
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

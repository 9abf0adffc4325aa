"""The rules of the unary calls, without input and output.

C1. No definite answer means asking again, at the next address, with the same lease id.
C2. Who gives up without a definite answer releases that id.
C3. Belief counts from before the question was sent. Time spent in a queue is spent: after a wait
    the lease is renewed once before it is handed out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Mapping, NoReturn, Optional

from ._belief import holder_deadline
from ._clock import Clock
from ._errors import Cancelled, LeaseLost, Refused, StormlockError, Unavailable, Unreachable
from ._gen import lock_pb2 as pb
from ._lease import LONGEST, Lease, duration_of, lease_from, new_lease_id

METHODS = "/stormlock.v1.LockService/"
# How long one attempt may take at the most beyond its wait, before another address is tried.
ATTEMPT = 5.0
# How soon the next round begins when no address has answered: doubled from one to the next.
FIRST_BACKOFF = 0.05
LAST_BACKOFF = 1.0
# How long a caller that gives up tries to take back what it may have been granted.
FAREWELL = 2.0
# The share of the ttl that may pass in a queue before a renewal must make it whole again.
WAITED_SHARE = 0.1


@dataclass(frozen=True)
class Granted:
    """A lease, and until when its holder may believe in it. Nobody keeps it: renew it."""

    lease: Lease
    #: By `stormlock_client.monotonic()`, in seconds: from then on somebody else may hold it.
    deadline: float
    _clock: Clock = field(repr=False, compare=False)

    @property
    def token(self) -> int:
        """The fencing token."""
        return self.lease.token

    @property
    def held(self) -> bool:
        """Whether it is held now, by the clock."""
        return self._clock.now() < self.deadline


def granted_by(clock: Clock, message: pb.Lease, sent_at: float) -> Granted:
    lease = lease_from(message)
    return Granted(lease, holder_deadline(sent_at, lease.valid_for, lease.ttl), clock)


class Turns:
    """Whose turn it is to be asked, and for how long (C1). No address has more than its share of
    the patience that is left in a round, so that each has its turn."""

    def __init__(self, addresses: int, first: int, clock: Clock, patience: float) -> None:
        self._addresses = addresses
        self._clock = clock
        self._give_up_at = clock.now() + patience
        self._tries = 0
        self._backoff = FIRST_BACKOFF
        self.address = first % addresses

    @property
    def timeout(self) -> float:
        left = self._give_up_at - self._clock.now()
        return max(0.001, min(ATTEMPT, left / (self._addresses - self._tries % self._addresses)))

    def failed(self, error: StormlockError, is_closed: bool) -> float:
        """Tells how long to pause before the next turn, or raises the error again."""
        if error.definite or isinstance(error, Refused):
            raise error
        if is_closed:
            raise Cancelled("this client is closed") from error
        if self._clock.now() + self._backoff >= self._give_up_at:
            raise error
        self._tries += 1
        self.address = (self.address + 1) % self._addresses
        if self._tries % self._addresses != 0:
            return 0.0
        pause, self._backoff = self._backoff, min(self._backoff * 2, LAST_BACKOFF)
        return pause


class Acquisition:
    """One Acquire, over all its attempts."""

    def __init__(
        self,
        clock: Clock,
        resource: str,
        principal: str,
        ttl: Optional[float],
        wait: float,
        reason: str,
        labels: Mapping[str, str],
        lease_id: Optional[str],
    ) -> None:
        self._clock = clock
        self._has_own_id = lease_id is not None
        self._request = pb.AcquireRequest(
            resource=resource,
            lease_id=lease_id or new_lease_id(),
            principal=principal,
            reason=reason,
            labels=labels,
        )
        if ttl is not None:
            self._request.ttl.CopyFrom(duration_of(ttl))
        self.wait = min(max(wait, 0.0), LONGEST)
        self._wait_until = clock.now() + self.wait
        #: Whether the store may have a lease under the id that nobody has been told of (C2).
        self.is_uncertain = False

    @property
    def resource(self) -> str:
        return self._request.resource

    @property
    def lease_id(self) -> str:
        return self._request.lease_id

    @property
    def wait_left(self) -> float:
        return max(0.0, self._wait_until - self._clock.now())

    def request(self) -> pb.AcquireRequest:
        """For one attempt. Until it is answered nobody knows what the store has."""
        self._request.wait.CopyFrom(duration_of(self.wait_left, up=True))
        return self._request

    def interrupted(self) -> None:
        """The caller has gone while an attempt was out."""
        self.is_uncertain = True

    def failed(self, error: StormlockError) -> NoReturn:
        # A first attempt was granted and taken back after its answer was lost. Nobody has believed
        # in that lease, so a new one is as good.
        if isinstance(error, LeaseLost) and self.is_uncertain and not self._has_own_id:
            self._request.lease_id = new_lease_id()
            self.is_uncertain = False
            raise Unavailable(str(error)) from error
        if not error.definite and not isinstance(error, Unreachable):
            self.is_uncertain = True
        raise error

    def needs_renewal(self, granted: Granted) -> bool:
        """C3"""
        ttl = granted.lease.ttl
        whole = holder_deadline(self._clock.now(), ttl, ttl)
        return self.wait > 0 and whole - granted.deadline >= WAITED_SHARE * ttl

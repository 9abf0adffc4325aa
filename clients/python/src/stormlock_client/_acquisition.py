"""An Acquire by unary calls. (The rules C1 to C3 are in _calls.py.)"""

from __future__ import annotations

from typing import NoReturn, Optional

from ._belief import holder_deadline
from ._calls import ATTEMPT, Granted, granted_by
from ._clock import Clock
from ._errors import LeaseLost, LockHeld, StormlockError, Unavailable, Unreachable
from ._gen import lock_pb2 as pb
from ._lease import LONGEST, duration_of, new_lease_id
from ._order import Order, acquire_of
from ._questions import Question

# The share of the ttl that may pass in a queue before a renewal must make it whole again.
WAITED_SHARE = 0.1


class Acquisition(Question[Granted]):
    """One Acquire, over all its attempts."""

    def __init__(self, clock: Clock, order: Order, lease_id: Optional[str]) -> None:
        """Raises InvalidField."""
        self._clock = clock
        self._has_own_id = lease_id is not None
        self._request = acquire_of(order, pb.AcquireRequest)
        self._request.lease_id = lease_id or new_lease_id()
        super().__init__("Acquire", self._request, pb.AcquireResponse, self._granted)
        self.wait = min(max(order.wait or 0.0, 0.0), LONGEST)
        self._wait_until = clock.now() + self.wait
        #: Whether the store may have a lease under the id that nobody has been told of (C2).
        self.is_uncertain = False

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

    def within(self, share: float) -> float:
        return self.wait_left + ATTEMPT if self.wait > 0 else share

    def _granted(self, reply: pb.AcquireResponse, sent_at: float) -> Granted:
        self.is_uncertain = True  # until it has been handed out
        return granted_by(self._clock, reply.lease, sent_at)

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

    def must_be_released(self, error: BaseException) -> bool:
        """Whether whoever is stopped by this error may have a lease all the same (C2)."""
        if isinstance(error, LockHeld):
            return False
        return self.is_uncertain or not isinstance(error, StormlockError)

"""The rules of the unary calls, without input and output.

C1. No definite answer means asking again, at the next address, with the same lease id.
C2. Who gives up without a definite answer releases that id. (_acquisition.py)
C3. Belief counts from before the question was sent. Time spent in a queue is spent: after a wait
    the lease is renewed once before it is handed out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ._belief import holder_deadline
from ._clock import Clock
from ._errors import Cancelled, Refused, StormlockError
from ._gen import lock_pb2 as pb
from ._lease import Lease, lease_from

METHODS = "/stormlock.v1.LockService/"
# How long one attempt may take at the most beyond its wait, before another address is tried.
ATTEMPT = 5.0
# How soon the next round begins when no address has answered: doubled from one to the next.
FIRST_BACKOFF = 0.05
LAST_BACKOFF = 1.0
# How long a caller that gives up tries to take back what it may have been granted.
FAREWELL = 2.0


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

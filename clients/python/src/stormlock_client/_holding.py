"""What both clients have in common: how a lock is asked for, and what its holder sees."""

from __future__ import annotations

import math
import os
from typing import Callable, Optional

from ._belief import State
from ._clock import system_clock
from ._errors import InvalidField, LeaseLost, StormlockError
from ._lease import Lease
from ._order import Outcome
from ._wish import Wish

#: Called with the place in the queue and the holder, which is None when it is not known.
OnQueued = Callable[[int, Optional[Lease]], object]
#: Tells whoever waits, in its own thread or task, and whether the wait is over.
News = Callable[[Optional[OnQueued]], bool]


def check_seconds(ttl: Optional[float], wait: Optional[float]) -> None:
    if ttl is not None and not (math.isfinite(ttl) and ttl > 0):
        raise InvalidField(f"ttl {ttl!r} is no time to live: give seconds, e.g. 30", "ttl")
    if wait is not None and not wait >= 0:
        raise InvalidField(
            f"wait {wait!r} is no time to wait: give seconds, or None for without limit", "wait"
        )


class HeldLock:
    """A lock that is being kept."""

    def __init__(self, resource: str) -> None:
        self._resource = resource
        self._wish: Optional[Wish] = None
        self._why: Optional[LeaseLost] = None
        self._pid = os.getpid()

    @property
    def resource(self) -> str:
        return self._resource

    @property
    def lease(self) -> Lease:
        """As it was granted."""
        lease = None if self._wish is None else self._wish.lease
        if lease is None:
            raise StormlockError(f"{self._resource} is not granted yet")
        return lease

    @property
    def lease_id(self) -> str:
        """The capability to renew and release it: a secret."""
        return self.lease.lease_id

    @property
    def token(self) -> int:
        """The fencing token: send it along with every write to what the lock protects."""
        return self.lease.token

    @property
    def state(self) -> State:
        """PENDING, HELD, AT_RISK (held, but unconfirmed for half a ttl), LOST or RELEASED; by the
        clock and not by a timer."""
        if self._wish is None:
            return "PENDING"
        # A forked child has no keeper, and would not hear of the end.
        return self._wish.belief.state if self._pid == os.getpid() else "LOST"

    @property
    def held(self) -> bool:
        """Whether it is held now, by the clock and not by a timer."""
        return self.state in ("HELD", "AT_RISK")

    @property
    def deadline(self) -> float:
        """By `stormlock_client.monotonic()`, in seconds: until then nobody else holds the lock.
        Moves on as it is kept."""
        return -math.inf if self._wish is None else self._wish.belief.deadline

    @property
    def remaining(self) -> float:
        """Seconds to the deadline; 0 when it is not held."""
        return max(0.0, self.deadline - system_clock.now()) if self.held else 0.0

    def check(self) -> None:
        """Does nothing while it is held. Raises LeaseLost when it is lost or has been released."""
        if not self.held:
            raise self._why or LeaseLost(f"{self._resource} is not held any more: {self.state}")

    def _lost_error(self) -> LeaseLost:
        return self._why or LeaseLost(f"the lease of {self._resource} was lost")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._resource!r} {self.state}>"


class Ear:
    """What the keeper says of one hold, for whoever waits for it."""

    def __init__(
        self,
        put: Callable[[News], object],
        lose: Callable[[LeaseLost], object],
        go: Callable[[], object],
    ) -> None:
        """`put` takes news for whoever waits; `lose` hears of the loss, `go` of the end."""
        self._put = put
        self._lose = lose
        self._go = go
        self.outcome: Outcome = "unknown"

    def queued(self, position: int, holder: Optional[Lease]) -> None:
        def tell(on_queued: Optional[OnQueued]) -> bool:
            if on_queued is not None:
                on_queued(position, holder)
            return False

        self._put(tell)

    def settled(self, error: Optional[StormlockError]) -> None:
        def tell(_: Optional[OnQueued]) -> bool:
            if error is not None:
                raise error
            return True

        self._put(tell)

    def lost(self, error: LeaseLost) -> None:
        self._lose(error)

    def gone(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self._go()

"""A lock that is being kept, as its holder sees it: for threads and for asyncio."""

from __future__ import annotations

import os
from typing import Callable, Optional, Union

from ._belief import State
from ._clock import system_clock
from ._errors import LeaseLost, StormlockError
from ._lease import Lease
from ._order import News, Order, Outcome, Queued, Settled
from ._wish import Wish

#: Called with the place in the queue and the holder, which is None when it is not known.
OnQueued = Callable[[int, Optional[Lease]], object]


class HeldLock:
    """A lock that is being kept."""

    def __init__(self, order: Order, tell: Callable[[News], object]) -> None:
        """Raises InvalidField."""
        self._wish = Wish(order, system_clock, tell)
        self._why: Optional[LeaseLost] = None
        self._outcome: Outcome = "unknown"
        self._pid = os.getpid()

    @property
    def resource(self) -> str:
        return self._wish.resource

    @property
    def lease(self) -> Lease:
        """As it was granted."""
        if self._wish.lease is None:
            raise StormlockError(f"{self.resource} is not granted yet")
        return self._wish.lease

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
        # A forked child has no keeper, and would not hear of the end.
        return self._wish.belief.state if self._pid == os.getpid() else "LOST"

    @property
    def held(self) -> bool:
        """Whether it is held now, by the clock."""
        return self.state in ("HELD", "AT_RISK")

    @property
    def deadline(self) -> float:
        """By `stormlock_client.monotonic()`, in seconds: until then nobody else holds the lock.
        Moves on as it is kept."""
        return self._wish.belief.deadline

    @property
    def remaining(self) -> float:
        """Seconds to the deadline; 0 when it is not held."""
        return max(0.0, self.deadline - system_clock.now()) if self.held else 0.0

    def check(self) -> None:
        """Does nothing while it is held. Raises LeaseLost when it is lost or has been released."""
        if not self.held:
            raise self._why or LeaseLost(f"{self.resource} is not held any more: {self.state}")

    def _raise_if_lost(self, outcome: Outcome) -> None:
        """At the end of a block, after its release."""
        if self.state == "LOST":
            raise self._why or LeaseLost(f"the lease of {self.resource} was lost")
        if outcome == "not-held":
            raise LeaseLost(f"{self.resource} was not held any more when it was released")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.resource!r} {self.state}>"


def is_settled(news: Union[Queued, Settled], on_queued: Optional[OnQueued]) -> bool:
    """Tells whoever waits. Raises why it cannot be had, and what `on_queued` does."""
    if isinstance(news, Settled):
        if news.error is not None:
            raise news.error
        return True
    if on_queued is not None:
        on_queued(news.position, news.holder)
    return False

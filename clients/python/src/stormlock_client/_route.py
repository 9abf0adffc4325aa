"""Which daemon a holder's next stream goes to, and when; and how long its waits are left alone."""

from __future__ import annotations

from math import inf
from typing import Callable, Optional

from ._clock import Clock
from ._errors import StormlockError, Unavailable, Unreachable
from ._wish import Wish

# How soon the next round begins when all addresses have failed: doubled from one to the next.
FIRST_BACKOFF = 0.05
LAST_BACKOFF = 1.0
# K10. With every address tried for that, the next move comes no sooner than this after the one
# before: doubled from one to the next. After a calm time all is as at the beginning.
FIRST_STAY = 1.0
LAST_STAY = 60.0
CALM = 2 * LAST_STAY


class Route:
    def __init__(self, addresses: int, clock: Clock, random: Callable[[], float]) -> None:
        self._addresses = addresses
        self._clock = clock
        self._random = random
        self._turn = 0
        self._failures = 0
        self._moves = 0
        self._moved_at = -inf
        #: When the next stream may be opened.
        self.connect_at = -inf

    @property
    def address(self) -> int:
        """The one whose turn it is."""
        return self._turn % self._addresses

    @property
    def rounds(self) -> int:
        """How often all addresses have failed, one after the other."""
        return self._failures // self._addresses

    @property
    def may_move_at(self) -> float:
        """When an address that answers may be left for the next (K10)."""
        others = self._addresses - 1
        if others == 0:
            return inf
        if self._moves < others:
            return -inf
        stay = FIRST_STAY * 2.0 ** min(self._moves - others, 10)
        return self._moved_at + min(stay, LAST_STAY)

    def move(self) -> None:
        """An address that answers is left, because its answers are of no use."""
        now = self._clock.now()
        self._moves = 1 if now - self._moved_at >= CALM else self._moves + 1
        self._moved_at = now
        self._turn += 1
        self.connect_at = now

    def fail(self) -> None:
        """An address has failed. A round over all comes without a pause; the next one waits."""
        self._turn += 1
        self._failures += 1
        pause = 0.0
        if self._failures % self._addresses == 0:
            pause = min(FIRST_BACKOFF * 2.0 ** min(self.rounds - 1, 10), LAST_BACKOFF)
        self.connect_at = self._clock.now() + pause * (0.5 + self._random() / 2)

    def succeed(self, lived: float) -> None:
        """The daemon speaks. Only a stream that has lived for a while makes the failures before
        it forgotten: one that answers and then closes must not be asked in a hurry."""
        if lived >= LAST_BACKOFF:
            self._failures = 0


class Patience:
    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._alone_since: Optional[float] = None
        self._last: Optional[StormlockError] = None

    def begin(self, now: float) -> None:
        """Something was asked that wants an answer."""
        if self._alone_since is None:
            self._alone_since = now

    def end(self) -> None:
        """A daemon speaks."""
        self._alone_since = None

    def note(self, error: StormlockError) -> None:
        """An address has failed."""
        self._last = error

    def ends_at(self, wish: Wish, silence: float) -> float:
        """When a wait is to be given up: a daemon with nothing to say is no reason, only one that
        leaves a heartbeat unanswered, and not even that where the wait has stood in a queue: a
        daemon that restarts shall end no waits. `silence` is what a daemon has to answer in."""
        if wish.has_queued:
            return wish.give_up_at
        alone = inf if self._alone_since is None else self._alone_since
        return min(max(wish.since, alone) + max(self._patience, silence), wish.give_up_at)

    def reason(self, wish: Wish) -> StormlockError:
        is_alone = self._alone_since is not None
        last = None if self._last is None else str(self._last)
        known = (last or wish.trouble) if is_alone else (wish.trouble or last)
        why = known or f"no daemon has answered whether {wish.resource} can be had"
        if is_alone and isinstance(self._last, Unreachable):
            return Unreachable(why)
        return Unavailable(why)

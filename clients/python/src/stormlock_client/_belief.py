"""What a holder may believe about one lease. All times are seconds on the holder's clock.

K1. Belief ends at t0 + valid * 0.99 - max(100 ms, 5 % of the ttl), where t0 was read before the
    heartbeat was sent that the answer echoes: validity never counts from an answer.
K2. Lost is final: a late answer revives nothing, and no answer moves the end back.
K3. The end is looked up on the clock whenever it is asked about: a blocked thread, a suspended
    process and a late timer all find the truth.
K9. Belief does not begin with a lease that is nearly over: who begins to rely on a lock needs
    time to do so. It waits for the next answer.
"""

from __future__ import annotations

from math import inf
from typing import List, Literal

from ._clock import Clock

State = Literal["PENDING", "HELD", "AT_RISK", "LOST", "RELEASED"]

# By how much the rates of two clocks may differ.
CLOCK_RATE_ERROR = 0.01
# The margin in which a holder acts on the end.
LEAST_MARGIN = 0.1
MARGIN_SHARE = 0.05
# No confirmation for this share of the ttl puts a lease at risk.
RISK_SHARE = 0.5
# Belief begins with at least this share of what a grant without any delay would give.
BEGIN_SHARE = 0.5
# With this share of the ttl left to the deadline another daemon must be asked.
URGENT_SHARE = 0.25
# No daemon is given less than this to answer.
LEAST_PATIENCE = 0.25


def holder_deadline(sent_at: float, valid_for: float, ttl: float) -> float:
    """When a holder must stop believing (K1)."""
    return sent_at + valid_for * (1 - CLOCK_RATE_ERROR) - max(LEAST_MARGIN, MARGIN_SHARE * ttl)


class Belief:
    def __init__(self, clock: Clock, ttl: float) -> None:
        self._clock = clock
        self._ttl = ttl
        self._confirmed_at = -inf
        self._lag = 0.0  # how long the last confirmation took
        # How it has ended: the first of these counts, whichever thread has said it (K2).
        self._ends: List[Literal["LOST", "RELEASED"]] = []
        #: From then on somebody else may hold it.
        self.deadline = -inf
        #: When the lease ends by itself, unless a renewal that we do not know of succeeded.
        self.valid_until = -inf

    @property
    def risk_at(self) -> float:
        return self._confirmed_at + RISK_SHARE * self._ttl

    @property
    def state(self) -> State:
        if self._ends:
            return self._ends[0]
        if self.deadline == -inf:
            return "PENDING"
        now = self._clock.now()
        if now >= self.deadline:
            self._ends.append("LOST")  # K2, K3
            return self._ends[0]
        return "AT_RISK" if now >= self.risk_at else "HELD"

    @property
    def held(self) -> bool:
        return self.state in ("HELD", "AT_RISK")

    def confirm(self, sent_at: float, valid_for: float) -> bool:
        """Takes in an answer to what was sent at t0; tells whether the end has moved."""
        state = self.state
        if state in ("LOST", "RELEASED"):
            return False  # K2
        deadline = holder_deadline(sent_at, valid_for, self._ttl)
        self.valid_until = max(self.valid_until, sent_at + valid_for)
        now = self._clock.now()
        if deadline <= now or deadline <= self.deadline:
            return False
        fresh = holder_deadline(now, self._ttl, self._ttl) - now
        if state == "PENDING" and deadline < now + BEGIN_SHARE * fresh:
            return False  # K9
        self._confirmed_at = max(self._confirmed_at, sent_at)
        self._lag = now - sent_at
        self.deadline = deadline
        return True

    def end(self, how: Literal["LOST", "RELEASED"]) -> None:
        """Ends belief; what has ended stays as it ended."""
        if self.state not in ("LOST", "RELEASED"):
            self._ends.append(how)

    def urgent_at(self, opened_at: float, period: float) -> float:
        """When a stream that was opened then must be left for one that confirms this lease.

        With a quarter of the ttl left, on a young stream with half of what was left when it was
        opened; not before the next confirmation could have come if it takes as long as the last,
        and half as long again. `inf` when that is too late to try.
        """
        if not self.held:
            return inf
        at = max(
            self.deadline - URGENT_SHARE * self._ttl,
            (opened_at + self.deadline) / 2,
            opened_at + LEAST_PATIENCE,
            self._confirmed_at + period + max(LEAST_PATIENCE, 1.5 * self._lag),
        )
        return at if at < self.deadline else inf

"""When a keeper does what. (K8 and K10 are in _keeper.py.)"""

from __future__ import annotations

from math import inf
from typing import Optional

from ._route import Patience, Route
from ._stream import Stream
from ._wishes import Wishes

LONGEST_PERIOD = 15.0
# A daemon's nonsense shall not make a holder flood it.
SHORTEST_PERIOD = 0.1
# A heartbeat is answered within a quarter of the period; with a whole one gone, or this much, the
# daemon is not there, whatever its connection says.
LONGEST_SILENCE = 5.0
SHORTEST_SILENCE = 0.25
# Whoever looks this much too late was stopped: what has arrived meanwhile gets the time to be read.
LATE = 0.1
READING = 0.1


class Timing:
    def __init__(self, wishes: Wishes, route: Route, patience: Patience) -> None:
        self._wishes = wishes
        self._route = route
        self._patience = patience
        self._read_until = -inf
        #: Seconds from one heartbeat to the next, as the shortest ttl wants it of all that is
        #: wanted. What is being released counts only where there is nothing else: the daemon keeps
        #: it no longer, and takes the time for its acknowledgements that the others leave it.
        self.period = inf

    def look(self, now: float, due: float) -> None:
        """It is being looked, and was to be at the time of `due`."""
        if now > due + LATE:
            self._read_until = now + READING  # K8

    def set_period(self) -> None:
        present = list(self._wishes.present)
        wanted = [wish for wish in present if wish.is_wanted]
        self.period = min((_period_of(wish.ttl) for wish in wanted or present), default=inf)

    def answer(self, stream: Optional[Stream]) -> float:
        """How long a daemon that is being talked to has to answer."""
        return 0.0 if stream is None else self._silence(stream)

    def silent_until(self, stream: Stream) -> float:
        """No longer than what is held can wait, once a daemon that is there would have answered."""
        answered = stream.silent_since + max(self.period / 2, SHORTEST_SILENCE)
        urgent = max(self._urgent_at(stream), answered)
        return max(min(stream.silent_until(self._silence(stream)), urgent), self._read_until)

    def useless_at(self, stream: Stream) -> float:
        """When a stream that answers is to be left all the same (K10)."""
        may_move_at = self._route.may_move_at
        if may_move_at == inf:
            return inf
        at = -inf if self._is_put_off() else self._urgent_at(stream)
        return max(may_move_at, at, self._read_until)

    def next_look(self, stream: Optional[Stream]) -> float:
        if self._wishes.is_empty:
            return inf
        at = self._route.connect_at
        if stream is not None:
            beat_at = stream.last_beat_at + self.period
            at = min(self.silent_until(stream), self.useless_at(stream), beat_at)
            at = min([at, *(wish.speak_at for wish in self._wishes.present)])
        answer = self.answer(stream)
        for wish in self._wishes.all:
            at = min(at, wish.look_at)
            if wish.is_open:
                at = min(at, self._patience.ends_at(wish, answer))
        return at

    # How long a heartbeat may stay unanswered (K8).
    def _silence(self, stream: Stream) -> float:
        rounds = 0 if stream.is_heard else min(self._route.rounds, 10)
        return min(max(self.period, SHORTEST_SILENCE) * 2.0**rounds, LONGEST_SILENCE)

    def _urgent_at(self, stream: Stream) -> float:
        present = self._wishes.present
        return min((wish.urgent_at(stream.opened_at, self.period) for wish in present), default=inf)

    # Whether a daemon's store has no answer for one of them, and nobody would lose his place in a
    # queue by asking another daemon.
    def _is_put_off(self) -> bool:
        standings = {wish.standing for wish in self._wishes.present}
        return "put-off" in standings and "queued" not in standings


def _period_of(ttl: float) -> float:
    return max(min(ttl / 3, LONGEST_PERIOD), SHORTEST_PERIOD)

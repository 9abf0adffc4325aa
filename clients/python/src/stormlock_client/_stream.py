"""One open stream to a daemon, as its holder knows it."""

from __future__ import annotations

from math import inf
from typing import Dict, Optional, Protocol, Set

from ._clock import Clock
from ._gen import lock_pb2 as pb


class Link(Protocol):
    """One stream to a daemon. Neither call blocks, or calls back."""

    def say(self, message: pb.HoldRequest) -> None: ...

    def close(self) -> None:
        """What was said is still sent. Nothing that is heard afterwards matters."""


class Stream:
    """What was sent on a link when, and what was heard."""

    def __init__(self, link: Link, clock: Clock, last_seq: int) -> None:
        self.link = link
        self._clock = clock
        self.opened_at = clock.now()
        self.granted: Set[str] = set()  # lease ids (K4)
        self.last_beat_at = -inf
        self._sent_at: Dict[int, float] = {}
        self._heard_at = -inf
        self._acked = last_seq

    def beat(self, seq: int) -> None:
        self.last_beat_at = self._clock.now()
        self._sent_at[seq] = self.last_beat_at  # K1: before it is sent
        self.link.say(pb.HoldRequest(heartbeat=pb.Heartbeat(seq=seq)))

    def hear(self) -> float:
        """The daemon has said something. Tells how long the stream lives by now."""
        self._heard_at = self._clock.now()
        return self._heard_at - self.opened_at

    @property
    def is_heard(self) -> bool:
        return self._heard_at != -inf

    def sent_at(self, seq: int) -> Optional[float]:
        """When a heartbeat was sent that the daemon echoes; None for one not sent here."""
        return self._sent_at.get(seq)

    def acknowledge(self, seq: int) -> None:
        self._acked = max(self._acked, seq)
        for earlier in [each for each in self._sent_at if each < seq]:
            del self._sent_at[earlier]

    @property
    def silent_since(self) -> float:
        """When the oldest unanswered heartbeat was sent."""
        return next((at for seq, at in self._sent_at.items() if seq > self._acked), inf)

    def silent_until(self, silence: float) -> float:
        since = self.silent_since
        # Where an answer takes longer than a period, the one to the heartbeat before comes after
        # this one was sent, and this one's a period later: with jitter, a little more.
        spoken = self._heard_at + 1.5 * silence if self._heard_at > since else since + silence
        return min(spoken, since + 2 * silence)

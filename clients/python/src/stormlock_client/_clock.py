"""The holder's clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since some fixed moment; never goes back, whoever sets the wall clock."""
        ...


class SystemClock:
    """This machine's monotonic clock, which goes on while the machine is suspended.

    `time.monotonic()` stands still for that time on Linux, CLOCK_BOOTTIME does not (on macOS it
    is CLOCK_MONOTONIC that goes on). Both are read, and who has got further is right: a lease
    lives at the store while this machine sleeps.
    """

    def __init__(self) -> None:
        self._wakeful = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
        self._ahead = self._read() - time.monotonic()

    def _read(self) -> float:
        return time.monotonic() if self._wakeful is None else time.clock_gettime(self._wakeful)

    def now(self) -> float:
        return max(time.monotonic(), self._read() - self._ahead)


system_clock = SystemClock()


def monotonic() -> float:
    """The clock that deadlines are told by, in seconds."""
    return system_clock.now()

"""A lock that is kept, for asyncio."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Awaitable, Callable, Generator, Optional

from ._errors import LeaseLost
from ._holding import Ear, HeldLock, News, OnQueued
from ._order import Outcome
from ._tasks import KeeperTask


class Lost(asyncio.Event):
    """Set when a lock is lost, never when it is released: `await lease.lost`."""

    def __await__(self) -> Generator[Any, None, None]:
        yield from self.wait().__await__()


class Hold(HeldLock):
    """A lock that is being kept: `async with` it, and it is released at the end of the block. Who
    leaves the block normally has held the lock all the while; else LeaseLost is raised there."""

    def __init__(self, resource: str, keeper: KeeperTask) -> None:
        super().__init__(resource)
        self._keeper = keeper
        self._news: asyncio.Queue[News] = asyncio.Queue()
        self._is_gone = asyncio.Event()
        self._ear = Ear(self._news.put_nowait, self._lose, self._is_gone.set)
        #: Set when it is lost; never when it is released. Can be awaited.
        self.lost = Lost()

    async def release(self) -> Outcome:
        """Ends belief at once, and the lease as soon as a daemon answers; waits for that a few
        seconds at the most. "unknown" means that it ends by itself, within its ttl."""
        if self._wish is not None and self._pid == os.getpid():
            self._keeper.release(self._wish)
            await self._is_gone.wait()
        return self._ear.outcome

    async def __aenter__(self) -> Hold:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        is_lost = self.state == "LOST"
        # Also when it turns out only now that somebody else had ended it.
        is_lost = await self.release() == "not-held" or is_lost
        if is_lost and kind is None:
            raise self._lost_error()

    async def _wait(self, on_queued: Optional[OnQueued]) -> None:
        """Until it is held; raises why it is not."""
        while not (await self._news.get())(on_queued):
            pass

    def _lose(self, error: LeaseLost) -> None:
        self._why = error
        self.lost.set()


class Holding:
    """What `hold` answers: await it for the Hold, or `async with` it."""

    def __init__(self, begin: Callable[[], Awaitable[Hold]]) -> None:
        self._begin = begin
        self._hold: Optional[Hold] = None

    def __await__(self) -> Generator[Any, None, Hold]:
        return self._begin().__await__()

    async def __aenter__(self) -> Hold:
        self._hold = await self._begin()
        return self._hold

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if self._hold is not None:
            await self._hold.__aexit__(kind, error, trace)

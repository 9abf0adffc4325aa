"""A lock that is kept, for asyncio."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Callable, Coroutine, Generator, Optional, Union

from ._holding import HeldLock, OnQueued, is_settled
from ._order import Gone, Loss, News, Order, Outcome, Queued, Settled
from ._threads import KeeperThread


def post(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any) -> None:
    """Calls back in the loop, from another thread."""
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        pass  # the loop is closed: nobody is there to hear


class Lost(asyncio.Event):
    """Set when a lock is lost, never when it is released: `await lease.lost`."""

    def __await__(self) -> Generator[Any, None, None]:
        yield from self.wait().__await__()


class Hold(HeldLock):
    """A lock that is being kept: `async with` it, and it is released at the end of the block. Who
    leaves the block normally has held the lock all the while; else LeaseLost is raised there."""

    def __init__(self, order: Order, keeper: KeeperThread) -> None:
        self._keeper = keeper
        self._inbox: asyncio.Queue[Union[Queued, Settled]] = asyncio.Queue()
        self._is_gone = asyncio.Event()
        #: Set when it is lost; never when it is released. Can be awaited.
        self.lost = Lost()
        loop = asyncio.get_running_loop()
        super().__init__(order, lambda news: post(loop, self._hear, news))

    async def release(self) -> Outcome:
        """Ends belief at once, and the lease as soon as a daemon answers; waits for that a few
        seconds at the most. "not-held" means that it had ended before: others may have held the
        lock meanwhile. "unknown" means that no answer tells, and that it ends within its ttl."""
        if self._pid == os.getpid():
            self._keeper.release(self._wish)
            await self._is_gone.wait()
        return self._outcome

    async def __aenter__(self) -> Hold:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        outcome = await self.release()
        if kind is None:
            self._raise_if_lost(outcome)

    async def _begin(self, on_queued: Optional[OnQueued]) -> Hold:
        """Asks, and waits until it is held; raises why it is not."""
        try:
            self._keeper.ask(self._wish)
            while not is_settled(await self._inbox.get(), on_queued):
                pass
        except BaseException:
            self._keeper.release(self._wish)
            raise
        return self

    def _hear(self, news: News) -> None:
        if isinstance(news, Loss):
            self._why = news.error
            self.lost.set()
        elif isinstance(news, Gone):
            self._outcome = news.outcome
            self._is_gone.set()
        else:
            self._inbox.put_nowait(news)


class Holding:
    """What `hold` answers: await it for the Hold, or `async with` it."""

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, Hold]]) -> None:
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

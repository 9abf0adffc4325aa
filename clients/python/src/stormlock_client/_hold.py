"""A lock that is kept, for threads."""

from __future__ import annotations

import os
import queue
import threading
from typing import Callable, List, Optional, Union

from ._holding import HeldLock, OnQueued, is_settled
from ._order import Gone, Loss, News, Order, Outcome, Queued, Settled
from ._threads import KeeperThread


class Hold(HeldLock):
    """A lock that is being kept: `with` it, and it is released at the end of the block. Who leaves
    the block normally has held the lock all the while; else LeaseLost is raised there."""

    def __init__(self, order: Order, keeper: KeeperThread) -> None:
        self._keeper = keeper
        self._inbox: queue.SimpleQueue[Union[Queued, Settled]] = queue.SimpleQueue()
        self._is_gone = threading.Event()
        #: Set when it is lost; never when it is released.
        self.lost = threading.Event()
        self._callbacks: List[Callable[[Hold], object]] = []
        self._lock = threading.Lock()
        super().__init__(order, self._hear)

    def on_lost(self, callback: Callable[[Hold], object]) -> None:
        """Calls back once when it is lost, on a thread of its own; at once if it is already."""
        with self._lock:
            if not self.lost.is_set():
                self._callbacks.append(callback)
                return
        self._call(callback)

    def release(self) -> Outcome:
        """Ends belief at once, and the lease as soon as a daemon answers; waits for that a few
        seconds at the most. "not-held" means that it had ended before: others may have held the
        lock meanwhile. "unknown" means that no answer tells, and that it ends within its ttl."""
        if self._pid == os.getpid():
            self._keeper.release(self._wish)
            self._is_gone.wait()
        return self._outcome

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        outcome = self.release()
        if kind is None:
            self._raise_if_lost(outcome)

    def _begin(self, on_queued: Optional[OnQueued]) -> Hold:
        """Asks, and waits until it is held; raises why it is not."""
        try:
            self._keeper.ask(self._wish)
            while not is_settled(self._inbox.get(), on_queued):
                pass
        except BaseException:
            self._keeper.release(self._wish)
            raise
        return self

    def _hear(self, news: News) -> None:
        if isinstance(news, Loss):
            self._why = news.error
            self._lose()
        elif isinstance(news, Gone):
            self._outcome = news.outcome
            self._is_gone.set()
        else:
            self._inbox.put(news)

    def _lose(self) -> None:
        with self._lock:
            self.lost.set()
        try:
            for callback in self._callbacks:
                self._call(callback)
        except RuntimeError:
            pass  # there are no threads to be had, which must not end the keeping of other locks

    def _call(self, callback: Callable[[Hold], object]) -> None:
        threading.Thread(target=callback, args=(self,), daemon=True).start()

"""A lock that is kept, for threads."""

from __future__ import annotations

import os
import queue
import threading
from typing import Callable, List, Optional

from ._errors import LeaseLost
from ._holding import Ear, HeldLock, News, OnQueued
from ._order import Outcome
from ._threads import KeeperThread


class Hold(HeldLock):
    """A lock that is being kept: `with` it, and it is released at the end of the block. Who leaves
    the block normally has held the lock all the while; else LeaseLost is raised there."""

    def __init__(self, resource: str, keeper: KeeperThread) -> None:
        super().__init__(resource)
        self._keeper = keeper
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._is_gone = threading.Event()
        self._ear = Ear(self._news.put, self._lose, self._is_gone.set)
        #: Set when it is lost; never when it is released.
        self.lost = threading.Event()
        self._callbacks: List[Callable[[Hold], object]] = []
        self._lock = threading.Lock()

    def on_lost(self, callback: Callable[[Hold], object]) -> None:
        """Calls back once when it is lost, on a thread of its own; at once if it is already."""
        with self._lock:
            self._callbacks.append(callback)
            if not self.lost.is_set():
                return
        self._call_back()

    def release(self) -> Outcome:
        """Ends belief at once, and the lease as soon as a daemon answers; waits for that a few
        seconds at the most. "unknown" means that it ends by itself, within its ttl."""
        if self._wish is not None and self._pid == os.getpid():
            self._keeper.release(self._wish)
            self._is_gone.wait()
        return self._ear.outcome

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        is_lost = self.state == "LOST"
        # Also when it turns out only now that somebody else had ended it.
        is_lost = self.release() == "not-held" or is_lost
        if is_lost and kind is None:
            raise self._lost_error()

    def _wait(self, on_queued: Optional[OnQueued]) -> None:
        """Until it is held; raises why it is not."""
        while not self._news.get()(on_queued):
            pass

    def _lose(self, error: LeaseLost) -> None:
        self._why = error
        with self._lock:
            self.lost.set()
        self._call_back()

    def _call_back(self) -> None:
        with self._lock:
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            threading.Thread(target=callback, args=(self,), daemon=True).start()

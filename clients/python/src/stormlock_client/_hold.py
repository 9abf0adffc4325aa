"""A lock that is kept, for threads."""

from __future__ import annotations

import os
import queue
import threading
from typing import Callable, List, Optional

from ._errors import LeaseLost, StormlockError
from ._holding import HeldLock
from ._lease import Lease
from ._order import Outcome
from ._threads import KeeperThread

OnQueued = Callable[[int, Optional[Lease]], object]


class Hold(HeldLock):
    """A lock that is being kept: `with` it, and it is released at the end of the block. Who leaves
    the block normally has held the lock all the while; else LeaseLost is raised there."""

    def __init__(self, resource: str, keeper: KeeperThread) -> None:
        super().__init__(resource)
        self._keeper = keeper
        self._ear = Ear(self)
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
            self._ear.is_gone.wait()
        return self._ear.outcome

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        is_lost = self.state == "LOST"
        self.release()
        if is_lost and kind is None:
            self._raise_if_lost()

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


class Ear:
    """What the keeper says of one hold, for the thread that waits for it."""

    def __init__(self, hold: Hold) -> None:
        self._hold = hold
        self._news: queue.SimpleQueue[Callable[[Optional[OnQueued]], bool]] = queue.SimpleQueue()
        self.is_gone = threading.Event()
        self.outcome: Outcome = "unknown"

    def wait(self, on_queued: Optional[OnQueued]) -> None:
        """Until it is held; raises why it is not."""
        while not self._news.get()(on_queued):
            pass

    def queued(self, position: int, holder: Optional[Lease]) -> None:
        def tell(on_queued: Optional[OnQueued]) -> bool:
            if on_queued is not None:
                on_queued(position, holder)
            return False

        self._news.put(tell)

    def settled(self, error: Optional[StormlockError]) -> None:
        def tell(_: Optional[OnQueued]) -> bool:
            if error is not None:
                raise error
            return True

        self._news.put(tell)

    def lost(self, error: LeaseLost) -> None:
        self._hold._lose(error)

    def gone(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.is_gone.set()

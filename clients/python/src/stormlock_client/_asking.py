"""What the clients for threads and for asyncio have in common."""

from __future__ import annotations

import os
import threading
from typing import Any, Callable, List, Mapping, Optional, TypeVar

import grpc

from ._address import open_channel
from ._calls import METHODS, Turns
from ._clock import system_clock
from ._environment import Settings
from ._errors import Cancelled, StormlockError
from ._order import Order, check_seconds
from ._questions import Question
from ._threads import KeeperThread

Answer = TypeVar("Answer")
Method = Any  # grpc.UnaryUnaryMultiCallable: its types say nothing of what is asked


class Asking:
    """Who is asked for what, over which connections, and whether that may be asked at all."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._channels: List[Optional[grpc.Channel]] = [None] * len(settings.addresses)
        self._keeper: Optional[KeeperThread] = None
        self._preferred = 0  # who has answered last is asked first
        self._is_closed = False
        self._pid = os.getpid()

    def _order(
        self,
        resource: str,
        ttl: Optional[float],
        wait: Optional[float],
        principal: Optional[str],
        reason: str,
        labels: Optional[Mapping[str, str]],
    ) -> Order:
        check_seconds(ttl, wait)
        who = self._settings.principal if principal is None else principal
        ttl = self._settings.ttl if ttl is None else ttl
        return Order(resource, who, ttl, wait, reason, dict(labels or {}))

    def _turns(self, question: Question[Answer], patience: Optional[float]) -> Turns:
        budget = question.wait + (self._settings.patience if patience is None else patience)
        return Turns(len(self._settings.addresses), self._preferred, system_clock, budget)

    def _method(self, question: Question[Answer], index: int) -> Method:
        """The asking of it at an address."""
        self._check_usable()  # before the lock, which a fork may have caught in other hands
        with self._lock:
            self._check_usable()
            channel = self._channels[index]
            if channel is None:
                channel = open_channel(self._settings.addresses[index], self._settings.tls)
                self._channels[index] = channel
        return channel.unary_unary(
            METHODS + question.method,
            request_serializer=question.serialize,
            response_deserializer=question.deserialize,
        )

    def _kept(self, is_wanted: Callable[[], bool]) -> KeeperThread:
        """Whoever keeps the locks, made with the first of them."""
        self._check_usable()
        with self._lock:
            self._check_usable()
            if self._keeper is None:
                self._keeper = KeeperThread(self._settings, is_wanted)
            return self._keeper

    def _close(self) -> None:
        if self._is_of_parent:  # where a lock may be held for good, too
            return
        with self._lock:
            self._is_closed = True
        try:
            if self._keeper is not None:
                self._keeper.close()
        finally:
            for channel in self._channels:
                if channel is not None:
                    channel.close()

    @property
    def _is_of_parent(self) -> bool:
        """Whether this process was forked after the client was made: gRPC's threads and sockets
        are the parent's, and to touch them here may crash or hang."""
        return self._pid != os.getpid()

    def _check_usable(self) -> None:
        if self._is_of_parent:
            raise StormlockError("this client is another process's: connect again after a fork")
        if self._is_closed:
            raise Cancelled("this client is closed")

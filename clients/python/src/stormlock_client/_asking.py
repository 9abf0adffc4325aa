"""What the clients for threads and for asyncio have in common."""

from __future__ import annotations

import os
from typing import Mapping, Optional, TypeVar

from ._acquisition import Acquisition
from ._calls import Turns
from ._clock import system_clock
from ._environment import Settings
from ._errors import Cancelled, StormlockError
from ._holding import check_seconds
from ._order import Order
from ._questions import Question

Answer = TypeVar("Answer")


class Asking:
    """Who is asked for what, and whether that may be asked at all."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
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

    def _acquisition(
        self,
        resource: str,
        ttl: Optional[float],
        wait: float,
        principal: Optional[str],
        reason: str,
        labels: Optional[Mapping[str, str]],
        lease_id: Optional[str],
    ) -> Acquisition:
        order = self._order(resource, ttl, wait, principal, reason, labels)
        return Acquisition(system_clock, order, lease_id)

    def _turns(self, question: Question[Answer], patience: Optional[float]) -> Turns:
        budget = question.wait + (self._settings.patience if patience is None else patience)
        return Turns(len(self._settings.addresses), self._preferred, system_clock, budget)

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

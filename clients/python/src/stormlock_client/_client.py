"""The client for threads."""

from __future__ import annotations

import time
from typing import Iterator, Mapping, Optional, TypeVar

import grpc

from . import _questions as questions
from ._acquisition import Acquisition
from ._answers import failure
from ._asking import Asking, Method
from ._calls import FAREWELL, Granted, Turns
from ._clock import system_clock
from ._errors import LeaseLost, LockHeld, StormlockError
from ._hold import Hold
from ._holding import OnQueued
from ._lease import Lease
from ._order import Outcome
from ._questions import Question

Answer = TypeVar("Answer")


class Client(Asking):
    """Asks daemons for locks, from any thread. `with` it, or close it.

    What is not definite is asked again, at the next address with the same lease id, for
    `patience` seconds; then Unavailable is raised.
    """

    def hold(
        self,
        resource: str,
        *,
        ttl: Optional[float] = None,
        wait: Optional[float] = None,
        principal: Optional[str] = None,
        reason: str = "",
        labels: Optional[Mapping[str, str]] = None,
        on_queued: Optional[OnQueued] = None,
    ) -> Hold:
        """Takes a lock and keeps it until it is released or lost. All holds of a client share one
        stream to whichever daemon answers.

        ttl: seconds that the lease lives after the last heartbeat; None is the server's default.
        wait: seconds to stand in the queue at the most; None is without limit, 0 not at all.
        on_queued: called here, while waiting, with the place in the queue and the holder, which is
        None when it is not known; what it raises gives the wait up.

        Raises LockHeld, InvalidField, NotAllowed, Unavailable, Cancelled when the client is closed.
        """
        order = self._order(resource, ttl, wait, principal, reason, labels)
        return Hold(order, self._kept(lambda: True))._begin(on_queued)

    def acquire(
        self,
        resource: str,
        *,
        ttl: Optional[float] = None,
        wait: float = 0.0,
        principal: Optional[str] = None,
        reason: str = "",
        labels: Optional[Mapping[str, str]] = None,
        lease_id: Optional[str] = None,
    ) -> Granted:
        """Takes a lock once; nobody keeps it. `wait` as in hold, 0 unless it is given. Raises
        LockHeld, LeaseLost (a `lease_id` of yours that has been used up), InvalidField, NotAllowed,
        Unavailable."""
        order = self._order(resource, ttl, wait, principal, reason, labels)
        asked = Acquisition(system_clock, order, lease_id)
        try:
            granted = self._ask(asked)
            if asked.needs_renewal(granted):
                try:
                    granted = self.renew(resource, asked.lease_id)
                except LeaseLost as lost:
                    raise LockHeld(str(lost)) from lost
            return granted
        except BaseException as error:
            if asked.must_be_released(error):
                self._farewell(resource, asked.lease_id)
            raise

    def renew(self, resource: str, lease_id: str, *, ttl: Optional[float] = None) -> Granted:
        """Makes a lease live for a whole ttl from now, its own or another. Raises LeaseLost."""
        return self._ask(questions.renewal(resource, lease_id, ttl))

    def release(self, resource: str, lease_id: str) -> Outcome:
        """Ends a lease: "released", or "not-held" when it has ended already."""
        return self._ask(questions.release(resource, lease_id))

    def current(self, resource: str) -> Optional[Lease]:
        """Who holds a resource now."""
        return self._ask(questions.current(resource))

    def is_held(self, resource: str, lease_id: str) -> bool:
        """Whether this lease held its resource when the store was asked."""
        return self._ask(questions.is_held(resource, lease_id))

    def list(self, prefix: str = "") -> Iterator[Lease]:
        """
        All leases held now on resources that begin so, in the order of their names' bytes. What
        another program has put in the store where a lease should be ends it as `Unavailable`, after
        all that can be read.
        """
        pages = questions.Pages(prefix)
        while (question := pages.next()) is not None:
            yield from pages.read(self._ask(question))
        pages.check()

    def close(self) -> None:
        """Releases what is held by `hold`, gives up what is waited for, closes the connections."""
        self._close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    # --- inside ---

    # C1
    def _ask(self, question: Question[Answer], patience: Optional[float] = None) -> Answer:
        turns = self._turns(question, patience)
        while True:
            ask = self._method(question, turns.address)
            try:
                answer = self._attempt(question, ask, turns)
            except StormlockError as error:
                time.sleep(turns.failed(error, self._is_closed))
            else:
                self._preferred = turns.address
                return answer

    def _attempt(self, question: Question[Answer], ask: Method, turns: Turns) -> Answer:
        sent_at = system_clock.now()  # C3
        try:
            reply = ask(question.request(), timeout=question.within(turns.timeout))
        except (grpc.RpcError, ValueError) as failed:
            question.failed(failure(self._settings.addresses[turns.address].text, failed))
        return question.answered(reply, sent_at)

    # Best effort: what cannot be released ends with its ttl.
    def _farewell(self, resource: str, lease_id: str) -> None:
        try:
            self._ask(questions.release(resource, lease_id), FAREWELL)
        except StormlockError:
            pass  # that there was no answer is being said already

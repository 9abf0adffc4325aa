"""The client for asyncio.

    from stormlock_client import aio

    async with aio.connect(["127.0.0.1:7420"]) as client:
        async with client.hold("deploy", ttl=30) as lease:
            await write(token=lease.token)

A client belongs to the event loop that it is first used in. Its heartbeats are sent by a thread of
its own, so that code that blocks the loop loses no locks.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any, AsyncIterator, Mapping, Optional, Sequence, Set, TypeVar, Union

import grpc

from . import _questions as questions
from ._acquisition import Acquisition
from ._address import Tls
from ._aio_hold import Hold, Holding, Lost, post
from ._answers import failure
from ._asking import Asking, Method
from ._calls import FAREWELL, Granted, Turns
from ._clock import system_clock
from ._environment import Settings, settled
from ._errors import LeaseLost, LockHeld, StormlockError
from ._holding import OnQueued
from ._lease import Lease
from ._order import Order, Outcome
from ._questions import Question

__all__ = ["Client", "Hold", "Holding", "Lost", "OnQueued", "connect", "hold"]

Answer = TypeVar("Answer")


class Client(Asking):
    """Asks daemons for locks, as `stormlock_client.Client` does. `async with` it, or close it. Who
    is cancelled releases what it may have got."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._farewells: Set[asyncio.Task[None]] = set()

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
    ) -> Holding:
        """Takes a lock and keeps it until it is released or lost: `async with` or await it. Else
        it is as `stormlock_client.Client.hold`."""
        order = self._order(resource, ttl, wait, principal, reason, labels)
        return Holding(lambda: self._begin(order, on_queued))

    async def acquire(
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
        """Takes a lock once; nobody keeps it. As `stormlock_client.Client.acquire`."""
        order = self._order(resource, ttl, wait, principal, reason, labels)
        asked = Acquisition(system_clock, order, lease_id)
        try:
            granted = await self._ask(asked)
            if asked.needs_renewal(granted):
                try:
                    granted = await self.renew(resource, asked.lease_id)
                except LeaseLost as lost:
                    raise LockHeld(str(lost)) from lost
            return granted
        except BaseException as error:
            if asked.must_be_released(error):
                self._farewell(resource, asked.lease_id)
            raise

    async def renew(self, resource: str, lease_id: str, *, ttl: Optional[float] = None) -> Granted:
        """Makes a lease live for a whole ttl from now, its own or another. Raises LeaseLost."""
        return await self._ask(questions.renewal(resource, lease_id, ttl))

    async def release(self, resource: str, lease_id: str) -> Outcome:
        """Ends a lease: "released", or "not-held" when it has ended already."""
        return await self._ask(questions.release(resource, lease_id))

    async def current(self, resource: str) -> Optional[Lease]:
        """Who holds a resource now."""
        return await self._ask(questions.current(resource))

    async def is_held(self, resource: str, lease_id: str) -> bool:
        """Whether this lease held its resource when the store was asked."""
        return await self._ask(questions.is_held(resource, lease_id))

    async def list(self, prefix: str = "") -> AsyncIterator[Lease]:
        """
        All leases held now on resources that begin so, in the order of their names' bytes. What
        another program has put in the store where a lease should be ends it as `Unavailable`, after
        all that can be read.
        """
        pages = questions.Pages(prefix)
        while (question := pages.next()) is not None:
            for lease in pages.read(await self._ask(question)):
                yield lease
        pages.check()

    async def close(self) -> None:
        """Releases what is held by `hold`, gives up what is waited for, closes the connections."""
        try:
            if self._farewells:
                await asyncio.wait(self._farewells)
        finally:
            await asyncio.to_thread(self._close)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await self.close()

    # --- inside ---

    async def _begin(self, order: Order, on_queued: Optional[OnQueued]) -> Hold:
        loop = asyncio.get_running_loop()
        # Who has not closed the client before the loop has ended keeps nothing for ever.
        keeper = self._kept(lambda: not loop.is_closed())
        return await Hold(order, keeper)._begin(on_queued)

    # C1
    async def _ask(self, question: Question[Answer], patience: Optional[float] = None) -> Answer:
        turns = self._turns(question, patience)
        while True:
            ask = self._method(question, turns.address)
            try:
                answer = await self._attempt(question, ask, turns)
            except StormlockError as error:
                await asyncio.sleep(turns.failed(error, self._is_closed))
            else:
                self._preferred = turns.address
                return answer

    async def _attempt(self, question: Question[Answer], ask: Method, turns: Turns) -> Answer:
        sent_at = system_clock.now()  # C3
        try:
            timeout = question.within(turns.timeout)
            reply = await _reply(ask.future(question.request(), timeout=timeout))
        except (grpc.RpcError, ValueError) as failed:
            question.failed(failure(self._settings.addresses[turns.address].text, failed))
        return question.answered(reply, sent_at)

    # In a task of its own, since who gives up may be cancelled. Best effort: what cannot be
    # released ends with its ttl.
    def _farewell(self, resource: str, lease_id: str) -> None:
        async def say() -> None:
            try:
                await self._ask(questions.release(resource, lease_id), FAREWELL)
            except StormlockError:
                pass  # that there was no answer is being said already

        task = asyncio.ensure_future(say())
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)


def connect(
    servers: Union[str, Sequence[str], None] = None,
    *,
    tls: Optional[Tls] = None,
    principal: Optional[str] = None,
    patience: float = 10.0,
) -> Client:
    """A client for asyncio; everything is as in `stormlock_client.connect`."""
    return Client(settled(servers, tls, principal, patience))


@asynccontextmanager
async def hold(
    resource: str,
    *,
    ttl: Optional[float] = None,
    wait: Optional[float] = None,
    reason: str = "",
    labels: Optional[Mapping[str, str]] = None,
    on_queued: Optional[OnQueued] = None,
) -> AsyncIterator[Hold]:
    """Holds one lock for a block, by a client of its own that the environment describes.

    async with aio.hold("deploy") as lease:
        await write(token=lease.token)
    """
    async with (
        connect() as client,
        client.hold(
            resource, ttl=ttl, wait=wait, reason=reason, labels=labels, on_queued=on_queued
        ) as lease,
    ):
        yield lease


async def _reply(call: Any) -> Any:
    """Of a call of gRPC's that goes on by itself."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    call.add_done_callback(lambda _: post(loop, ended.set))
    try:
        await ended.wait()
        return call.result()
    finally:
        call.cancel()  # which ends only what has not ended: whoever asks has been cancelled

"""The client for asyncio.

    from stormlock_client import aio

    async with aio.connect(["127.0.0.1:7420"]) as client:
        async with client.hold("deploy", ttl=30) as lease:
            await write(token=lease.token)

A client belongs to the event loop that it is first used in. Heartbeats are sent by that loop: code
that blocks it for longer than a third of the ttl loses locks, and `held` tells so.
"""

from __future__ import annotations

import asyncio
from typing import (
    AsyncIterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    TypeVar,
    Union,
)

import grpc.aio

from . import _questions as questions
from ._address import Tls, channel_options, credentials_for
from ._aio_hold import Hold, Holding, Lost
from ._asking import Asking
from ._calls import FAREWELL, METHODS, Granted
from ._clock import system_clock
from ._environment import Settings, settled
from ._errors import LeaseLost, LockHeld, StormlockError, Unavailable
from ._holding import OnQueued
from ._lease import Lease, lease_from
from ._order import Order, Outcome
from ._questions import Question
from ._tasks import KeeperTask, failure

__all__ = ["Client", "Hold", "Holding", "Lost", "OnQueued", "connect", "hold"]

Answer = TypeVar("Answer")


class Client(Asking):
    """Asks daemons for locks. `async with` it, or close it.

    What is not definite is asked again, at the next address with the same lease id, for
    `patience` seconds; then Unavailable is raised. Who is cancelled releases what it may have got.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._channels: List[Optional[grpc.aio.Channel]] = [None] * len(settings.addresses)
        self._keeper: Optional[KeeperTask] = None
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
        """Takes a lock and keeps it until it is released or lost: `async with` or await it. All
        holds of a client share one stream to whichever daemon answers.

        ttl: seconds that the lease lives after the last heartbeat; None is the server's default.
        wait: seconds to stand in the queue at the most; None is without limit, 0 not at all.
        on_queued: called, while waiting, with the place in the queue and the holder, which is None
        when it is not known; what it raises gives the wait up.

        Raises LockHeld, InvalidField, NotAllowed, Unavailable, Cancelled when the client is closed.
        """
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
        """Takes a lock once; nobody keeps it. `wait` as in hold, 0 unless it is given. Raises
        LockHeld, LeaseLost (a `lease_id` of yours that has been used up), InvalidField, NotAllowed,
        Unavailable."""
        asked = self._acquisition(resource, ttl, wait, principal, reason, labels, lease_id)
        try:
            granted = await self._ask(asked)
            if asked.needs_renewal(granted):
                try:
                    granted = await self.renew(resource, granted.lease.lease_id)
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
        """All leases held now on resources that begin so, in the order of their names' bytes."""
        page_token = ""
        while True:
            page = await self._ask(questions.page(prefix, page_token))
            for lease in page.leases:
                yield lease_from(lease)
            page_token = page.next_page_token
            if page_token == "":
                return

    async def close(self) -> None:
        """Releases what is held by `hold`, gives up what is waited for, closes the connections."""
        if self._is_of_parent:
            return
        if self._keeper is not None:
            await self._keeper.close()
        if self._farewells:
            await asyncio.wait(self._farewells)
        self._is_closed = True
        for channel in self._channels:
            if channel is not None:
                await channel.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await self.close()

    # --- inside ---

    async def _begin(self, order: Order, on_queued: Optional[OnQueued]) -> Hold:
        self._check_usable()
        if self._keeper is None:
            self._keeper = KeeperTask(
                self._connect, self._settings.addresses, self._settings.patience
            )
        keeper = self._keeper
        hold = Hold(order.resource, keeper)
        wish = hold._wish = keeper.ask(order, hold._ear)
        try:
            await hold._wait(on_queued)
        except BaseException:
            keeper.release(wish)
            raise
        return hold

    def _connect(self, index: int) -> grpc.aio.Channel:
        address = self._settings.addresses[index]
        credentials = credentials_for(address, self._settings.tls)
        if credentials is None:
            return grpc.aio.insecure_channel(address.target, channel_options(address))
        return grpc.aio.secure_channel(address.target, credentials, channel_options(address))

    def _channel(self, index: int) -> grpc.aio.Channel:
        self._check_usable()
        channel = self._channels[index]
        if channel is None:
            channel = self._channels[index] = self._connect(index)
        return channel

    # C1
    async def _ask(self, question: Question[Answer], patience: Optional[float] = None) -> Answer:
        turns = self._turns(question, patience)
        while True:
            channel = self._channel(turns.address)
            where = self._settings.addresses[turns.address].text
            try:
                answer = await self._attempt(question, channel, where, turns.timeout)
            except StormlockError as error:
                await asyncio.sleep(turns.failed(error, self._is_closed))
            else:
                self._preferred = turns.address
                return answer

    async def _attempt(
        self, question: Question[Answer], channel: grpc.aio.Channel, where: str, share: float
    ) -> Answer:
        request = question.request()
        call = channel.unary_unary(
            METHODS + question.method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=question.reply.FromString,
        )
        sent_at = system_clock.now()
        try:
            reply = await call(request, timeout=question.within(share))
        except grpc.aio.AioRpcError as failed:
            question.failed(failure(where, failed))
        except grpc.aio.UsageError as failed:  # how grpc says that the channel was closed meanwhile
            question.failed(Unavailable(f"{where}: {failed}"))
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


class hold:
    """Holds one lock for a block, by a client of its own that the environment describes.

    async with aio.hold("deploy") as lease:
        await write(token=lease.token)
    """

    def __init__(
        self,
        resource: str,
        *,
        ttl: Optional[float] = None,
        wait: Optional[float] = None,
        reason: str = "",
        labels: Optional[Mapping[str, str]] = None,
        on_queued: Optional[OnQueued] = None,
    ) -> None:
        self._client = connect()
        self._holding = self._client.hold(
            resource, ttl=ttl, wait=wait, reason=reason, labels=labels, on_queued=on_queued
        )

    async def __aenter__(self) -> Hold:
        try:
            return await self._holding.__aenter__()
        except BaseException:
            await self._client.close()
            raise

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        try:
            await self._holding.__aexit__(kind, error, trace)
        finally:
            await self._client.close()

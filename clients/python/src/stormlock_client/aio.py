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
    Awaitable,
    Callable,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Type,
    TypeVar,
    Union,
)

import grpc.aio
from google.protobuf.message import Message

from ._address import Address, Tls, channel_options, credentials_for
from ._aio_hold import Hold, Holding, Lost, OnQueued
from ._calls import ATTEMPT, FAREWELL, METHODS, Acquisition, Granted, Turns, granted_by
from ._clock import system_clock
from ._environment import settled
from ._errors import Cancelled, LeaseLost, LockHeld, StormlockError, Unavailable
from ._gen import lock_pb2 as pb
from ._holding import check_seconds, order_of
from ._lease import Lease, duration_of, lease_from
from ._order import Order, Outcome
from ._tasks import KeeperTask, failure

__all__ = ["Client", "Hold", "Holding", "Lost", "OnQueued", "connect", "hold"]

Answer = TypeVar("Answer")
Reply = TypeVar("Reply", bound=Message)


class Client:
    """Asks daemons for locks. `async with` it, or close it.

    What is not definite is asked again, at the next address with the same lease id, for
    `patience` seconds; then Unavailable is raised. Who is cancelled releases what it may have got.
    """

    def __init__(
        self, addresses: List[Address], tls: Optional[Tls], principal: str, patience: float
    ) -> None:
        self._addresses = addresses
        self._tls = tls
        self._principal = principal
        self._patience = patience
        self._channels: List[Optional[grpc.aio.Channel]] = [None] * len(addresses)
        self._keeper: Optional[KeeperTask] = None
        self._farewells: Set[asyncio.Task[None]] = set()
        self._preferred = 0  # who has answered last is asked first
        self._is_closed = False

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
        order = order_of(
            resource, self._principal if principal is None else principal, ttl, wait, reason, labels
        )
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
        check_seconds(ttl, wait)
        who = self._principal if principal is None else principal
        asked = Acquisition(system_clock, resource, who, ttl, wait, reason, labels or {}, lease_id)

        async def attempt(channel: grpc.aio.Channel, where: str, timeout: float) -> Granted:
            sent_at = system_clock.now()
            within = asked.wait_left + ATTEMPT if asked.wait > 0 else timeout
            try:
                answer = await self._unary(
                    channel, where, "Acquire", asked.request(), pb.AcquireResponse, within
                )
            except StormlockError as error:
                asked.failed(error)
            asked.is_uncertain = True  # until it has been handed out
            return granted_by(system_clock, answer.lease, sent_at)

        try:
            granted = await self._ask(attempt, asked.wait)
            if asked.needs_renewal(granted):
                try:
                    granted = await self.renew(resource, granted.lease.lease_id)
                except LeaseLost as lost:
                    raise LockHeld(str(lost)) from lost
            return granted
        except LockHeld:
            raise
        except BaseException as error:
            if asked.is_uncertain or not isinstance(error, StormlockError):
                self._farewell(resource, asked.lease_id)  # C2
            raise

    async def renew(self, resource: str, lease_id: str, *, ttl: Optional[float] = None) -> Granted:
        """Makes a lease live for a whole ttl from now, its own or another. Raises LeaseLost."""
        check_seconds(ttl, None)
        request = pb.RenewRequest(resource=resource, lease_id=lease_id)
        if ttl is not None:
            request.ttl.CopyFrom(duration_of(ttl))

        async def attempt(channel: grpc.aio.Channel, where: str, timeout: float) -> Granted:
            sent_at = system_clock.now()
            answer = await self._unary(channel, where, "Renew", request, pb.RenewResponse, timeout)
            return granted_by(system_clock, answer.lease, sent_at)

        return await self._ask(attempt)

    async def release(self, resource: str, lease_id: str) -> Outcome:
        """Ends a lease: "released", or "not-held" when it has ended already."""
        return await self._release(resource, lease_id, self._patience)

    async def current(self, resource: str) -> Optional[Lease]:
        """Who holds a resource now."""
        request = pb.CurrentRequest(resource=resource)
        answer = await self._call("Current", request, pb.CurrentResponse)
        return lease_from(answer.lease) if answer.HasField("lease") else None

    async def is_held(self, resource: str, lease_id: str) -> bool:
        """Whether this lease held its resource when the store was asked."""
        request = pb.IsHeldRequest(resource=resource, lease_id=lease_id)
        return (await self._call("IsHeld", request, pb.IsHeldResponse)).held

    async def list(self, prefix: str = "") -> AsyncIterator[Lease]:
        """All leases held now on resources that begin so, in the order of their names' bytes."""
        page_token = ""
        while True:
            request = pb.ListRequest(prefix=prefix, page_size=1000, page_token=page_token)
            page = await self._call("List", request, pb.ListResponse)
            for lease in page.leases:
                yield lease_from(lease)
            page_token = page.next_page_token
            if page_token == "":
                return

    async def close(self) -> None:
        """Releases what is held by `hold`, gives up what is waited for, closes the connections."""
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
        if self._is_closed:
            raise Cancelled("this client is closed")
        if self._keeper is None:
            self._keeper = KeeperTask(self._connect, self._addresses, self._patience)
        keeper = self._keeper
        hold = Hold(order.resource, keeper)
        wish = hold._wish = keeper.ask(order, hold._ear)
        try:
            await hold._ear.wait(on_queued)
        except BaseException:
            keeper.release(wish)
            raise
        return hold

    def _connect(self, index: int) -> grpc.aio.Channel:
        address = self._addresses[index]
        credentials = credentials_for(address, self._tls)
        if credentials is None:
            return grpc.aio.insecure_channel(address.target, channel_options(address))
        return grpc.aio.secure_channel(address.target, credentials, channel_options(address))

    def _channel(self, index: int) -> grpc.aio.Channel:
        if self._is_closed:
            raise Cancelled("this client is closed")
        channel = self._channels[index]
        if channel is None:
            channel = self._channels[index] = self._connect(index)
        return channel

    # C1
    async def _ask(
        self,
        attempt: Callable[[grpc.aio.Channel, str, float], Awaitable[Answer]],
        wait: float = 0.0,
        patience: Optional[float] = None,
    ) -> Answer:
        budget = wait + (self._patience if patience is None else patience)
        turns = Turns(len(self._addresses), self._preferred, system_clock, budget)
        while True:
            channel = self._channel(turns.address)
            where = self._addresses[turns.address].text
            try:
                answer = await attempt(channel, where, turns.timeout)
            except StormlockError as error:
                await asyncio.sleep(turns.failed(error, self._is_closed))
            else:
                self._preferred = turns.address
                return answer

    async def _call(self, method: str, request: Message, response: Type[Reply]) -> Reply:
        return await self._ask(
            lambda channel, where, timeout: self._unary(
                channel, where, method, request, response, timeout
            )
        )

    async def _unary(
        self,
        channel: grpc.aio.Channel,
        where: str,
        method: str,
        request: Message,
        response: Type[Reply],
        timeout: float,
    ) -> Reply:
        call = channel.unary_unary(
            METHODS + method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        try:
            answer: Reply = await call(request, timeout=timeout)
        except grpc.aio.AioRpcError as failed:
            raise failure(where, failed) from failed
        except grpc.aio.UsageError as failed:  # how grpc says that the channel was closed meanwhile
            raise Unavailable(f"{where}: {failed}") from failed
        return answer

    async def _release(self, resource: str, lease_id: str, patience: float) -> Outcome:
        request = pb.ReleaseRequest(resource=resource, lease_id=lease_id)
        answer = await self._ask(
            lambda channel, where, timeout: self._unary(
                channel, where, "Release", request, pb.ReleaseResponse, timeout
            ),
            patience=patience,
        )
        return "released" if answer.outcome == pb.RELEASE_OUTCOME_RELEASED else "not-held"

    # In a task of its own, since who gives up may be cancelled. Best effort: what cannot be
    # released ends with its ttl.
    def _farewell(self, resource: str, lease_id: str) -> None:
        async def say() -> None:
            try:
                await self._release(resource, lease_id, FAREWELL)
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
    return Client(*settled(servers, tls, principal), patience)


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

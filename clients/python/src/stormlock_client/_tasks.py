"""Drives a keeper by an event loop."""

from __future__ import annotations

import asyncio
import random
from typing import AsyncIterator, Callable, List, Optional, Set

import grpc
import grpc.aio

from ._address import Address
from ._answers import error_from
from ._calls import METHODS
from ._clock import system_clock
from ._errors import Cancelled, StormlockError, Unavailable
from ._gen import lock_pb2 as pb
from ._keeper import Keeper
from ._order import Listener, Order
from ._stream import Link
from ._wish import FAREWELL, Wish

# How long a daemon has to take in the last words before a stream is cut off.
LAST_WORDS = 1.0
# A timer stands still while the machine is suspended: none is set for longer than this.
LONGEST_SLEEP = 1.0


class KeeperTask:
    """Drives a keeper by the event loop: what is due in one turn of it is said together."""

    def __init__(
        self,
        connect: Callable[[int], grpc.aio.Channel],
        addresses: List[Address],
        patience: float,
    ) -> None:
        self._connect = connect
        self._addresses = addresses
        self._loop = asyncio.get_running_loop()
        self._rules = Keeper(self._open, len(addresses), system_clock, random.random, patience)
        self._links: Set[TaskLink] = set()
        self._soon: Optional[asyncio.Handle] = None
        self._alarm: Optional[asyncio.TimerHandle] = None
        self._idle = asyncio.Event()

    def ask(self, order: Order, listener: Listener) -> Wish:
        self.look_soon()
        return self._rules.ask(order, listener)

    def release(self, wish: Wish) -> None:
        self._rules.release(wish)
        self.look_soon()

    def look_soon(self) -> None:
        if self._soon is None:
            self._soon = self._loop.call_soon(self._look)

    async def close(self) -> None:
        """Releases everything, and waits for the answers as long as they can matter."""
        self._rules.close()
        self.look_soon()
        try:
            await asyncio.wait_for(self._idle.wait(), FAREWELL + LAST_WORDS)
        except asyncio.TimeoutError:
            pass  # the process was stopped, or the loop blocked, for longer than any answer takes
        finally:
            self._rules.hang_up()
            if self._alarm is not None:
                self._alarm.cancel()
        if self._links:
            await asyncio.wait({link.task for link in self._links})

    def heard(self, link: Link, message: pb.HoldResponse) -> None:
        self._rules.heard(link, message)
        self.look_soon()

    def ended(self, link: TaskLink, error: StormlockError) -> None:
        self._links.discard(link)
        self._rules.ended(link, error)
        self.look_soon()

    def _open(self, address: int) -> Link:
        link = TaskLink(lambda: self._connect(address), self._addresses[address].text, self)
        self._links.add(link)
        return link

    def _look(self) -> None:
        self._soon = None
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        try:
            at = self._rules.look()
        except BaseException as error:
            self._rules.abort(StormlockError(f"the keeper has failed: {error!r}"))
            self._idle.set()
            raise
        if not self._rules.is_idle:
            delay = min(max(0.0, at - system_clock.now()), LONGEST_SLEEP)
            self._alarm = self._loop.call_later(delay, self.look_soon)
        elif self._rules.closed:
            self._idle.set()


class TaskLink:
    """One Hold stream, on a connection of its own."""

    def __init__(
        self, connect: Callable[[], grpc.aio.Channel], where: str, keeper: KeeperTask
    ) -> None:
        self._connect = connect
        self._where = where
        self._keeper = keeper
        self._outbox: asyncio.Queue[Optional[pb.HoldRequest]] = asyncio.Queue()
        self._is_closed = False
        self.task = asyncio.ensure_future(self._run())

    def say(self, message: pb.HoldRequest) -> None:
        self._outbox.put_nowait(message)

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._outbox.put_nowait(None)
            asyncio.get_running_loop().call_later(LAST_WORDS, self.task.cancel)

    async def _run(self) -> None:
        error: StormlockError = Unavailable("the daemon has ended the Hold stream")
        channel: Optional[grpc.aio.Channel] = None
        try:
            channel = self._connect()
            hold = channel.stream_stream(
                METHODS + "Hold",
                request_serializer=pb.HoldRequest.SerializeToString,
                response_deserializer=pb.HoldResponse.FromString,
            )
            async for message in hold(self._said()):
                self._keeper.heard(self, message)
        except grpc.aio.AioRpcError as failed:
            error = failure(self._where, failed)
        except asyncio.CancelledError:
            error = Cancelled("the Hold stream was closed")
        except Exception as failed:
            error = Unavailable(f"the Hold stream has failed: {failed!r}")
        finally:
            if channel is not None:
                await channel.close()
        self._keeper.ended(self, error)

    async def _said(self) -> AsyncIterator[pb.HoldRequest]:
        while True:
            message = await self._outbox.get()
            if message is None:
                return
            yield message


def failure(where: str, failed: grpc.aio.AioRpcError) -> StormlockError:
    """What the end of a call means."""
    trailer = [(key, value) for key, value in failed.trailing_metadata()]
    return error_from(where, failed.code(), failed.details(), trailer)

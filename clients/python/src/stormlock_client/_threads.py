"""Drives a keeper by threads: one that looks, and one that listens to each stream."""

from __future__ import annotations

import queue
import random
import threading
from typing import Callable, Optional, Set

import grpc

from ._answers import error_from
from ._calls import METHODS
from ._clock import Clock
from ._errors import StormlockError, Unavailable
from ._gen import lock_pb2 as pb
from ._keeper import Keeper
from ._order import Listener, Order
from ._stream import Link
from ._wish import FAREWELL, Wish

# How long a daemon has to take in the last words before a stream is cut off.
LAST_WORDS = 1.0
# A timed wait stands still while the machine is suspended: nobody sleeps longer than this.
LONGEST_SLEEP = 1.0


class Connection:
    """A channel that is one stream's alone, and where it leads."""

    def __init__(self, channel: grpc.Channel, where: str) -> None:
        self.channel = channel
        self.where = where


class KeeperThread:
    def __init__(
        self,
        connect: Callable[[int], Connection],
        addresses: int,
        clock: Clock,
        patience: float,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._changed = threading.Condition()
        self._keeper = Keeper(self._open, addresses, clock, random.random, patience)
        self._links: Set[ThreadedLink] = set()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="stormlock-keeper", daemon=True)
        self._thread.start()

    def ask(self, order: Order, listener: Listener) -> Wish:
        with self._changed:
            wish = self._keeper.ask(order, listener)
            self._changed.notify_all()
            return wish

    def release(self, wish: Wish) -> None:
        wish.belief.end("RELEASED")  # K6: whatever the keeper is about
        with self._changed:
            self._keeper.release(wish)
            self._changed.notify_all()

    def close(self) -> None:
        """Releases everything, and waits for the answers as long as they can matter."""
        with self._changed:
            self._keeper.close()
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._keeper.is_idle or self._is_over, FAREWELL + LAST_WORDS
            )
            self._is_over = True
            self._keeper.hang_up()
            self._changed.notify_all()
        self._thread.join()
        for link in [*self._links]:
            link.join()

    def heard(self, link: Link, message: pb.HoldResponse) -> None:
        with self._changed:
            self._keeper.heard(link, message)
            self._changed.notify_all()

    def ended(self, link: ThreadedLink, error: StormlockError) -> None:
        with self._changed:
            self._links.discard(link)
            self._keeper.ended(link, error)
            self._changed.notify_all()

    def _open(self, address: int) -> Link:
        link = ThreadedLink(lambda: self._connect(address), self)
        self._links.add(link)
        return link

    def _run(self) -> None:
        with self._changed:
            try:
                while not self._is_over:
                    at = self._keeper.look()
                    if self._keeper.is_idle:
                        self._changed.notify_all()
                    sleep = min(max(0.0, at - self._clock.now()), LONGEST_SLEEP)
                    self._changed.wait(None if self._keeper.is_idle else sleep)
            except BaseException as error:
                self._is_over = True
                self._keeper.abort(StormlockError(f"the keeper has failed: {error!r}"))
                self._changed.notify_all()
                raise


class ThreadedLink:
    """One Hold stream."""

    def __init__(self, connect: Callable[[], Connection], keeper: KeeperThread) -> None:
        self._connect = connect
        self._keeper = keeper
        self._outbox: queue.SimpleQueue[Optional[pb.HoldRequest]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_cut = False
        self._cut_later: Optional[threading.Timer] = None
        self._channel: Optional[grpc.Channel] = None
        self._thread = threading.Thread(target=self._run, name="stormlock-stream", daemon=True)
        self._thread.start()

    def say(self, message: pb.HoldRequest) -> None:
        self._outbox.put(message)

    def close(self) -> None:
        self._outbox.put(None)
        with self._lock:
            if self._is_cut or self._cut_later is not None:
                return
            self._cut_later = threading.Timer(LAST_WORDS, self._cut)
            self._cut_later.daemon = True
            self._cut_later.start()

    def join(self) -> None:
        self._thread.join(2 * LAST_WORDS)

    def _cut(self) -> None:
        with self._lock:
            self._is_cut = True
            if self._cut_later is not None:
                self._cut_later.cancel()
            channel = self._channel
        if channel is not None:
            channel.close()  # ends its call as well

    def _run(self) -> None:
        error: StormlockError = Unavailable("the daemon has ended the Hold stream")
        try:
            connection = self._connect()
            with self._lock:
                self._channel = connection.channel
                is_cut = self._is_cut
            if not is_cut:
                self._listen(connection)
        except grpc.RpcError as failed:
            error = failure(connection.where, failed)
        except Exception as failed:
            error = Unavailable(f"the Hold stream has failed: {failed!r}")
        finally:
            self._outbox.put(None)  # gRPC's thread that reads it ends by that
            self._cut()
        self._keeper.ended(self, error)

    def _listen(self, connection: Connection) -> None:
        hold = connection.channel.stream_stream(
            METHODS + "Hold",
            request_serializer=pb.HoldRequest.SerializeToString,
            response_deserializer=pb.HoldResponse.FromString,
        )
        for message in hold(iter(self._outbox.get, None)):
            self._keeper.heard(self, message)


def failure(where: str, failed: grpc.RpcError) -> StormlockError:
    """What gRPC raises carries the call's end, though its type does not say so."""
    if isinstance(failed, grpc.Call):
        return error_from(where, failed.code(), failed.details(), failed.trailing_metadata())
    return Unavailable(f"{where}: {failed!r}")

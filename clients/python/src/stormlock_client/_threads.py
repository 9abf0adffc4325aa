"""Drives a keeper by threads: one that looks, and one that listens to each stream."""

from __future__ import annotations

import queue
import random
import threading
from typing import Callable, Optional, Set

import grpc

from ._address import Address, Tls, open_channel
from ._answers import failure
from ._calls import METHODS
from ._clock import system_clock
from ._environment import Settings
from ._errors import Cancelled, StormlockError, Unavailable
from ._gen import lock_pb2 as pb
from ._keeper import Keeper
from ._stream import Link
from ._wish import FAREWELL, Wish

# How long a daemon has to take in the last words before a stream is cut off.
LAST_WORDS = 1.0
# A timed wait stands still while the machine is suspended: nobody sleeps longer than this.
LONGEST_SLEEP = 1.0


class KeeperThread:
    def __init__(self, settings: Settings, is_wanted: Callable[[], bool]) -> None:
        """When `is_wanted` has become false nothing is kept any more: it ends with its ttl."""
        addresses = settings.addresses
        self._settings = settings
        self._is_wanted = is_wanted
        self._changed = threading.Condition()
        self._keeper = Keeper(
            self._open, len(addresses), system_clock, random.random, settings.patience
        )
        self._links: Set[StreamThread] = set()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="stormlock-keeper", daemon=True)

    def ask(self, wish: Wish) -> None:
        with self._changed:
            # Not before: whoever is interrupted while making this leaves no thread behind.
            if self._thread.ident is None:
                self._thread.start()
            self._keeper.ask(wish)
            self._changed.notify_all()

    def release(self, wish: Wish) -> None:
        wish.belief.end("RELEASED")  # K6: whatever the keeper is about
        with self._changed:
            self._keeper.release(wish)
            self._changed.notify_all()

    def close(self) -> None:
        """Releases everything, and waits for the answers as long as they can matter."""
        with self._changed:
            try:
                self._keeper.close()
                self._changed.notify_all()
                self._changed.wait_for(
                    lambda: self._keeper.is_idle or self._is_over, FAREWELL + LAST_WORDS
                )
            finally:  # also for who is interrupted
                self._is_over = True
                self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()
        for link in [*self._links]:
            link.thread.join(2 * LAST_WORDS)

    def heard(self, link: Link, message: pb.HoldResponse) -> None:
        with self._changed:
            self._keeper.heard(link, message)
            self._changed.notify_all()

    def ended(self, link: StreamThread, error: StormlockError) -> None:
        with self._changed:
            self._links.discard(link)
            self._keeper.ended(link, error)
            self._changed.notify_all()

    def _open(self, address: int) -> Link:
        link = StreamThread(self._settings.addresses[address], self._settings.tls, self)
        self._links.add(link)
        return link

    def _run(self) -> None:
        error: StormlockError = Cancelled("this client is closed")
        with self._changed:
            try:
                while self._is_wanted():
                    at = self._keeper.look()
                    if self._is_over:
                        break  # and what was to be said has been said
                    if self._keeper.is_idle:
                        self._changed.notify_all()
                    sleep = min(max(0.0, at - system_clock.now()), LONGEST_SLEEP)
                    self._changed.wait(None if self._keeper.is_idle else sleep)
            except BaseException as failed:
                error = StormlockError(f"the keeper has failed: {failed!r}")
                raise
            finally:
                self._is_over = True
                self._keeper.abort(error)
                self._keeper.hang_up()
                self._changed.notify_all()


class StreamThread:
    """One Hold stream, on a connection of its own."""

    def __init__(self, address: Address, tls: Optional[Tls], keeper: KeeperThread) -> None:
        self._where = address.text
        self._keeper = keeper
        self._channel = open_channel(address, tls)
        self._outbox: queue.SimpleQueue[Optional[pb.HoldRequest]] = queue.SimpleQueue()
        self._cut = threading.Timer(LAST_WORDS, self._channel.close)
        self._cut.daemon = True
        self.thread = threading.Thread(target=self._run, name="stormlock-stream", daemon=True)
        self.thread.start()

    def say(self, message: pb.HoldRequest) -> None:
        self._outbox.put(message)

    def close(self) -> None:
        self._outbox.put(None)
        self._cut.start()

    def _run(self) -> None:
        error: StormlockError = Unavailable("the daemon has ended the Hold stream")
        hold = self._channel.stream_stream(
            METHODS + "Hold",
            request_serializer=pb.HoldRequest.SerializeToString,
            response_deserializer=pb.HoldResponse.FromString,
        )
        try:
            for message in hold(iter(self._outbox.get, None)):
                self._keeper.heard(self, message)
        except grpc.RpcError as failed:
            error = failure(self._where, failed)
        except Exception as failed:
            error = Unavailable(f"the Hold stream has failed: {failed!r}")
        finally:
            self._outbox.put(None)  # gRPC's thread that reads it ends by that
            self._cut.cancel()
            self._channel.close()
        self._keeper.ended(self, error)

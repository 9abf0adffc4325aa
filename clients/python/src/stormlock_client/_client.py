"""The client for threads."""

from __future__ import annotations

import os
import threading
import time
from typing import Callable, Iterator, List, Mapping, Optional, Type, TypeVar

import grpc
from google.protobuf.message import Message

from ._address import Address, Tls, channel_options, credentials_for
from ._calls import ATTEMPT, FAREWELL, METHODS, Acquisition, Granted, Turns, granted_by
from ._clock import system_clock
from ._errors import Cancelled, LeaseLost, LockHeld, StormlockError, Unavailable
from ._gen import lock_pb2 as pb
from ._hold import Hold, OnQueued
from ._holding import check_seconds, order_of
from ._lease import Lease, duration_of, lease_from
from ._order import Outcome
from ._threads import Connection, KeeperThread, failure

Answer = TypeVar("Answer")
Reply = TypeVar("Reply", bound=Message)


class Client:
    """Asks daemons for locks, from any thread. `with` it, or close it.

    What is not definite is asked again, at the next address with the same lease id, for
    `patience` seconds; then Unavailable is raised.
    """

    def __init__(
        self, addresses: List[Address], tls: Optional[Tls], principal: str, patience: float
    ) -> None:
        self._addresses = addresses
        self._tls = tls
        self._principal = principal
        self._patience = patience
        self._lock = threading.Lock()
        self._channels: List[Optional[grpc.Channel]] = [None] * len(addresses)
        self._keeper: Optional[KeeperThread] = None
        self._preferred = 0  # who has answered last is asked first
        self._is_closed = False
        self._pid = os.getpid()

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
        order = order_of(
            resource, self._principal if principal is None else principal, ttl, wait, reason, labels
        )
        keeper = self._kept()
        hold = Hold(resource, keeper)
        hold._wish = keeper.ask(order, hold._ear)
        try:
            hold._ear.wait(on_queued)
        except BaseException:
            keeper.release(hold._wish)
            raise
        return hold

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
        check_seconds(ttl, wait)
        who = self._principal if principal is None else principal
        asked = Acquisition(system_clock, resource, who, ttl, wait, reason, labels or {}, lease_id)

        def attempt(channel: grpc.Channel, where: str, timeout: float) -> Granted:
            sent_at = system_clock.now()
            within = asked.wait_left + ATTEMPT if asked.wait > 0 else timeout
            try:
                answer = self._unary(
                    channel, where, "Acquire", asked.request(), pb.AcquireResponse, within
                )
            except StormlockError as error:
                asked.failed(error)
            asked.is_uncertain = True  # until it has been handed out
            return granted_by(system_clock, answer.lease, sent_at)

        try:
            granted = self._ask(attempt, asked.wait)
            if asked.needs_renewal(granted):
                try:
                    granted = self.renew(resource, granted.lease.lease_id)
                except LeaseLost as lost:
                    raise LockHeld(str(lost)) from lost
            return granted
        except LockHeld:
            raise
        except BaseException as error:
            if asked.is_uncertain or not isinstance(error, StormlockError):
                self._farewell(resource, asked.lease_id)  # C2
            raise

    def renew(self, resource: str, lease_id: str, *, ttl: Optional[float] = None) -> Granted:
        """Makes a lease live for a whole ttl from now, its own or another. Raises LeaseLost."""
        check_seconds(ttl, None)
        request = pb.RenewRequest(resource=resource, lease_id=lease_id)
        if ttl is not None:
            request.ttl.CopyFrom(duration_of(ttl))

        def attempt(channel: grpc.Channel, where: str, timeout: float) -> Granted:
            sent_at = system_clock.now()
            answer = self._unary(channel, where, "Renew", request, pb.RenewResponse, timeout)
            return granted_by(system_clock, answer.lease, sent_at)

        return self._ask(attempt)

    def release(self, resource: str, lease_id: str) -> Outcome:
        """Ends a lease: "released", or "not-held" when it has ended already."""
        return self._release(resource, lease_id, self._patience)

    def current(self, resource: str) -> Optional[Lease]:
        """Who holds a resource now."""
        answer = self._call("Current", pb.CurrentRequest(resource=resource), pb.CurrentResponse)
        return lease_from(answer.lease) if answer.HasField("lease") else None

    def is_held(self, resource: str, lease_id: str) -> bool:
        """Whether this lease held its resource when the store was asked."""
        request = pb.IsHeldRequest(resource=resource, lease_id=lease_id)
        return self._call("IsHeld", request, pb.IsHeldResponse).held

    def list(self, prefix: str = "") -> Iterator[Lease]:
        """All leases held now on resources that begin so, in the order of their names' bytes."""
        page_token = ""
        while True:
            request = pb.ListRequest(prefix=prefix, page_size=1000, page_token=page_token)
            page = self._call("List", request, pb.ListResponse)
            yield from (lease_from(lease) for lease in page.leases)
            page_token = page.next_page_token
            if page_token == "":
                return

    def close(self) -> None:
        """Releases what is held by `hold`, gives up what is waited for, closes the connections."""
        with self._lock:
            self._is_closed = True
            keeper = self._keeper
            channels = [channel for channel in self._channels if channel is not None]
        if self._pid != os.getpid():
            return
        if keeper is not None:
            keeper.close()
        for channel in channels:
            channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    # --- inside ---

    def _kept(self) -> KeeperThread:
        with self._lock:
            self._check_usable()
            if self._keeper is None:
                self._keeper = KeeperThread(
                    lambda index: Connection(self._connect(index), self._addresses[index].text),
                    len(self._addresses),
                    system_clock,
                    self._patience,
                )
            return self._keeper

    def _check_usable(self) -> None:
        if self._is_closed:
            raise Cancelled("this client is closed")
        if self._pid != os.getpid():
            raise StormlockError("this client is another process's: connect again after a fork")

    def _connect(self, index: int) -> grpc.Channel:
        address = self._addresses[index]
        credentials = credentials_for(address, self._tls)
        if credentials is None:
            return grpc.insecure_channel(address.target, channel_options(address))
        return grpc.secure_channel(address.target, credentials, channel_options(address))

    def _channel(self, index: int) -> grpc.Channel:
        with self._lock:
            self._check_usable()
            channel = self._channels[index]
            if channel is None:
                channel = self._channels[index] = self._connect(index)
            return channel

    # C1
    def _ask(
        self,
        attempt: Callable[[grpc.Channel, str, float], Answer],
        wait: float = 0.0,
        patience: Optional[float] = None,
    ) -> Answer:
        budget = wait + (self._patience if patience is None else patience)
        turns = Turns(len(self._addresses), self._preferred, system_clock, budget)
        while True:
            channel = self._channel(turns.address)
            where = self._addresses[turns.address].text
            try:
                answer = attempt(channel, where, turns.timeout)
            except StormlockError as error:
                time.sleep(turns.failed(error, self._is_closed))
            else:
                self._preferred = turns.address
                return answer

    def _call(self, method: str, request: Message, response: Type[Reply]) -> Reply:
        return self._ask(
            lambda channel, where, timeout: self._unary(
                channel, where, method, request, response, timeout
            )
        )

    def _unary(
        self,
        channel: grpc.Channel,
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
            answer: Reply = call(request, timeout=timeout)
        except grpc.RpcError as failed:
            raise failure(where, failed) from failed
        except ValueError as failed:  # how grpc says that the channel was closed meanwhile
            raise Unavailable(f"{where}: {failed}") from failed
        return answer

    def _release(self, resource: str, lease_id: str, patience: float) -> Outcome:
        request = pb.ReleaseRequest(resource=resource, lease_id=lease_id)
        answer = self._ask(
            lambda channel, where, timeout: self._unary(
                channel, where, "Release", request, pb.ReleaseResponse, timeout
            ),
            patience=patience,
        )
        return "released" if answer.outcome == pb.RELEASE_OUTCOME_RELEASED else "not-held"

    # Best effort: what cannot be released ends with its ttl.
    def _farewell(self, resource: str, lease_id: str) -> None:
        try:
            self._release(resource, lease_id, FAREWELL)
        except StormlockError:
            pass  # that there was no answer is being said already

"""What daemons are asked by unary calls: questions and answers, without input and output."""

from __future__ import annotations

from typing import Any, Callable, Generic, List, NoReturn, Optional, Type, TypeVar

from google.protobuf.message import Message

from ._calls import Granted, granted_by
from ._clock import system_clock
from ._errors import StormlockError, Unavailable
from ._gen import lock_pb2 as pb
from ._lease import Lease, duration_of, lease_from
from ._order import Outcome, check_seconds

Answer = TypeVar("Answer")

PAGE = 1000


class Question(Generic[Answer]):
    """One thing that is asked, over all its attempts."""

    #: Seconds that a daemon may let it stand in a queue.
    wait = 0.0

    def __init__(
        self,
        method: str,
        request: Message,
        reply: Type[Message],
        read: Callable[[Any, float], Answer],
    ) -> None:
        """`read` makes the answer of a reply, and of the time before the question was sent."""
        self.method = method
        self.serialize = type(request).SerializeToString
        self.deserialize = reply.FromString
        self.answered = read
        self._message = request

    def request(self) -> Message:
        """For one attempt."""
        return self._message

    def within(self, share: float) -> float:
        """How long an attempt may take: its share of the patience, unless it waits in a queue."""
        return share

    def failed(self, error: StormlockError) -> NoReturn:
        """An attempt has failed; raises what that means."""
        raise error


def renewal(resource: str, lease_id: str, ttl: Optional[float]) -> Question[Granted]:
    check_seconds(ttl, None)
    request = pb.RenewRequest(resource=resource, lease_id=lease_id)
    if ttl is not None:
        request.ttl.CopyFrom(duration_of(ttl))

    def read(reply: pb.RenewResponse, sent_at: float) -> Granted:
        return granted_by(system_clock, reply.lease, sent_at)

    return Question("Renew", request, pb.RenewResponse, read)


def release(resource: str, lease_id: str) -> Question[Outcome]:
    def read(reply: pb.ReleaseResponse, _: float) -> Outcome:
        return "released" if reply.outcome == pb.RELEASE_OUTCOME_RELEASED else "not-held"

    request = pb.ReleaseRequest(resource=resource, lease_id=lease_id)
    return Question("Release", request, pb.ReleaseResponse, read)


def current(resource: str) -> Question[Optional[Lease]]:
    def read(reply: pb.CurrentResponse, _: float) -> Optional[Lease]:
        return lease_from(reply.lease) if reply.HasField("lease") else None

    return Question("Current", pb.CurrentRequest(resource=resource), pb.CurrentResponse, read)


def is_held(resource: str, lease_id: str) -> Question[bool]:
    request = pb.IsHeldRequest(resource=resource, lease_id=lease_id)
    return Question("IsHeld", request, pb.IsHeldResponse, lambda reply, _: reply.held)


class Pages:
    """A list, page by page, and what of it cannot be read."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._token: Optional[str] = ""
        self._unreadable = ""

    def next(self) -> Optional[Question[pb.ListResponse]]:
        """What to ask next; None after the last page."""
        if self._token is None:
            return None
        request = pb.ListRequest(prefix=self._prefix, page_size=PAGE, page_token=self._token)
        return Question("List", request, pb.ListResponse, lambda reply, _: reply)

    def read(self, page: pb.ListResponse) -> List[Lease]:
        self._token = page.next_page_token or None
        if page.unreadable and self._unreadable == "":
            self._unreadable = page.unreadable[0].message
        return [lease_from(lease) for lease in page.leases]

    def check(self) -> None:
        """Raises what could not be read, if anything."""
        if self._unreadable != "":
            raise Unavailable(self._unreadable)

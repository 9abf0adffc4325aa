"""What daemons are asked by unary calls: questions and answers, without input and output."""

from __future__ import annotations

from typing import Any, Callable, Generic, NoReturn, Optional, Type, TypeVar

from google.protobuf.message import Message

from ._calls import Granted, granted_by
from ._clock import system_clock
from ._errors import StormlockError
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


def page(prefix: str, token: str) -> Question[pb.ListResponse]:
    request = pb.ListRequest(prefix=prefix, page_size=PAGE, page_token=token)
    return Question("List", request, pb.ListResponse, lambda reply, _: reply)

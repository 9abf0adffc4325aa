"""What gRPC's answers mean. A code alone proves nothing, since libraries and proxies make up
their own: only with a google.rpc.ErrorInfo of the domain "stormlock" is it definite."""

from __future__ import annotations

from typing import Optional, Sequence, Tuple, Union

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from ._errors import (
    InvalidField,
    LeaseLost,
    LockHeld,
    NotAllowed,
    Refused,
    StormlockError,
    Unavailable,
    Unreachable,
)
from ._gen import lock_pb2 as pb
from ._lease import Lease, lease_from

Trailer = Optional[Sequence[Tuple[str, Union[str, bytes]]]]

_DETAILS = "grpc-status-details-bin"
_USELESS = (
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
)


def failure(where: str, failed: Exception) -> StormlockError:
    """What it means that a call to the daemon at `where` has ended so. gRPC raises the call itself,
    though the type of what it raises does not say so."""
    if isinstance(failed, grpc.Call):
        return error_from(where, failed.code(), failed.details(), failed.trailing_metadata())
    return Unavailable(f"{where}: {failed}")  # the channel was closed meanwhile


def error_from(
    where: str, code: grpc.StatusCode, words: Optional[str], trailer: Trailer
) -> StormlockError:
    """The error that an answer of the daemon at `where` means."""
    message = words or code.name
    known = _from_details(message, _status(trailer))
    if known is not None:
        return known
    if code in _USELESS:
        return Refused(f"{where}: {message}")
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return Unavailable(f"{where} has not answered in time")
    if code == grpc.StatusCode.UNAVAILABLE:
        # What gRPC says when no connection came about, so that nothing was sent at all.
        if message.startswith("failed to connect to all addresses"):
            return Unreachable(f"{where} cannot be reached: {message}")
        return Unavailable(f"{where} cannot be reached: {message}")
    # CANCELLED among them: gRPC says it of a stream that was reset. That this client was closed, it
    # knows by itself.
    return Unavailable(f"{where}: {message}")


def _status(trailer: Trailer) -> status_pb2.Status:
    status = status_pb2.Status()
    for key, value in trailer or ():
        if key == _DETAILS and isinstance(value, bytes):
            try:
                status.ParseFromString(value)
            except DecodeError:
                pass  # a stranger's bytes are no detail, and no reason to fail
    return status


def _from_details(message: str, status: status_pb2.Status) -> Optional[StormlockError]:
    holder: Optional[Lease] = None
    info: Optional[error_details_pb2.ErrorInfo] = None
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            found = error_details_pb2.ErrorInfo.FromString(detail.value)
            info = found if found.domain == "stormlock" else info
        elif detail.Is(pb.LockHeld.DESCRIPTOR):
            holder = lease_from(pb.LockHeld.FromString(detail.value).holder)
    if info is None:
        return None
    if info.reason == "LOCK_HELD":
        return LockHeld(message, holder)
    if info.reason == "INVALID_FIELD":
        return InvalidField(message, info.metadata.get("field", ""))
    if info.reason == "LEASE_LOST":
        return LeaseLost(message)
    if info.reason == "NOT_ALLOWED":
        return NotAllowed(message)
    return Unavailable(message)

"""Leases as a caller sees them, and the words for time on the wire. All times are seconds."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Mapping, Optional

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from ._gen import lock_pb2 as pb

# A wait longer than this is as good as one without end, and longer than any ttl may be.
LONGEST = 31 * 24 * 3600.0


@dataclass(frozen=True)
class Lease:
    """One holding of one resource."""

    resource: str
    #: Who holds it.
    principal: str
    #: The fencing token: greater than that of every earlier lease of this resource.
    token: int
    #: How long it lives from its grant or its last renewal, in seconds.
    ttl: float
    #: How much of that was certainly left when the server answered, in seconds.
    valid_for: float
    #: When it was granted, by the store's wall clock. For people.
    created: Optional[datetime]
    #: When it ends unless renewed, by the store's wall clock. For people.
    expires: Optional[datetime]
    #: Why it is held, in the holder's words.
    reason: str
    #: Anything else that the holder wanted to be seen.
    labels: Mapping[str, str]
    #: The capability to renew and release it; empty where the reader is not meant to have it. It is
    #: a secret, and left out of what is printed.
    lease_id: str = field(default="", repr=False)


def new_lease_id() -> str:
    """128 random bits, as 32 hexadecimal digits."""
    return secrets.token_hex(16)


def lease_from(message: pb.Lease) -> Lease:
    return Lease(
        resource=message.resource,
        principal=message.principal,
        token=message.fencing_token,
        ttl=seconds(message.ttl),
        valid_for=seconds(message.valid_for),
        created=_moment(message.create_time) if message.HasField("create_time") else None,
        expires=_moment(message.expire_time) if message.HasField("expire_time") else None,
        reason=message.reason,
        labels=dict(message.labels),
        lease_id=message.lease_id,
    )


def seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def duration_of(value: float, up: bool = False) -> Duration:
    """Of whole milliseconds, as the API has them."""
    value = min(value, 10 * LONGEST)  # the server says better what is too long
    ms = math.ceil(value * 1000) if up else round(value * 1000)
    return Duration(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)


def _moment(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(tzinfo=timezone.utc)

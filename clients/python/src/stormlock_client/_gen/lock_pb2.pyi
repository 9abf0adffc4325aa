import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReleaseOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RELEASE_OUTCOME_UNSPECIFIED: _ClassVar[ReleaseOutcome]
    RELEASE_OUTCOME_RELEASED: _ClassVar[ReleaseOutcome]
    RELEASE_OUTCOME_NOT_HELD: _ClassVar[ReleaseOutcome]

class DenialReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DENIAL_REASON_UNSPECIFIED: _ClassVar[DenialReason]
    DENIAL_REASON_LOCK_HELD: _ClassVar[DenialReason]
    DENIAL_REASON_LEASE_LOST: _ClassVar[DenialReason]
    DENIAL_REASON_INVALID_FIELD: _ClassVar[DenialReason]
    DENIAL_REASON_NOT_ALLOWED: _ClassVar[DenialReason]
    DENIAL_REASON_UNAVAILABLE: _ClassVar[DenialReason]
    DENIAL_REASON_ALREADY_ON_STREAM: _ClassVar[DenialReason]

class LossCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LOSS_CAUSE_UNSPECIFIED: _ClassVar[LossCause]
    LOSS_CAUSE_NOT_HELD: _ClassVar[LossCause]
    LOSS_CAUSE_EXPIRED: _ClassVar[LossCause]
    LOSS_CAUSE_RESUMED_ELSEWHERE: _ClassVar[LossCause]
RELEASE_OUTCOME_UNSPECIFIED: ReleaseOutcome
RELEASE_OUTCOME_RELEASED: ReleaseOutcome
RELEASE_OUTCOME_NOT_HELD: ReleaseOutcome
DENIAL_REASON_UNSPECIFIED: DenialReason
DENIAL_REASON_LOCK_HELD: DenialReason
DENIAL_REASON_LEASE_LOST: DenialReason
DENIAL_REASON_INVALID_FIELD: DenialReason
DENIAL_REASON_NOT_ALLOWED: DenialReason
DENIAL_REASON_UNAVAILABLE: DenialReason
DENIAL_REASON_ALREADY_ON_STREAM: DenialReason
LOSS_CAUSE_UNSPECIFIED: LossCause
LOSS_CAUSE_NOT_HELD: LossCause
LOSS_CAUSE_EXPIRED: LossCause
LOSS_CAUSE_RESUMED_ELSEWHERE: LossCause

class Lease(_message.Message):
    __slots__ = ("resource", "lease_id", "principal", "fencing_token", "create_time", "expire_time", "ttl", "valid_for", "reason", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    FENCING_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    VALID_FOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    resource: str
    lease_id: str
    principal: str
    fencing_token: int
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    ttl: _duration_pb2.Duration
    valid_for: _duration_pb2.Duration
    reason: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, resource: _Optional[str] = ..., lease_id: _Optional[str] = ..., principal: _Optional[str] = ..., fencing_token: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., valid_for: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reason: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class AcquireRequest(_message.Message):
    __slots__ = ("resource", "lease_id", "principal", "ttl", "wait", "reason", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    resource: str
    lease_id: str
    principal: str
    ttl: _duration_pb2.Duration
    wait: _duration_pb2.Duration
    reason: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, resource: _Optional[str] = ..., lease_id: _Optional[str] = ..., principal: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reason: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class AcquireResponse(_message.Message):
    __slots__ = ("lease",)
    LEASE_FIELD_NUMBER: _ClassVar[int]
    lease: Lease
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("resource", "lease_id", "ttl")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    resource: str
    lease_id: str
    ttl: _duration_pb2.Duration
    def __init__(self, resource: _Optional[str] = ..., lease_id: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class RenewResponse(_message.Message):
    __slots__ = ("lease",)
    LEASE_FIELD_NUMBER: _ClassVar[int]
    lease: Lease
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("resource", "lease_id")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    resource: str
    lease_id: str
    def __init__(self, resource: _Optional[str] = ..., lease_id: _Optional[str] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ("outcome",)
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    outcome: ReleaseOutcome
    def __init__(self, outcome: _Optional[_Union[ReleaseOutcome, str]] = ...) -> None: ...

class CurrentRequest(_message.Message):
    __slots__ = ("resource",)
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    resource: str
    def __init__(self, resource: _Optional[str] = ...) -> None: ...

class CurrentResponse(_message.Message):
    __slots__ = ("lease",)
    LEASE_FIELD_NUMBER: _ClassVar[int]
    lease: Lease
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ...) -> None: ...

class IsHeldRequest(_message.Message):
    __slots__ = ("resource", "lease_id")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    resource: str
    lease_id: str
    def __init__(self, resource: _Optional[str] = ..., lease_id: _Optional[str] = ...) -> None: ...

class IsHeldResponse(_message.Message):
    __slots__ = ("held",)
    HELD_FIELD_NUMBER: _ClassVar[int]
    held: bool
    def __init__(self, held: bool = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("prefix", "page_size", "page_token")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    page_size: int
    page_token: str
    def __init__(self, prefix: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("leases", "next_page_token", "unreadable")
    LEASES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNREADABLE_FIELD_NUMBER: _ClassVar[int]
    leases: _containers.RepeatedCompositeFieldContainer[Lease]
    next_page_token: str
    unreadable: _containers.RepeatedCompositeFieldContainer[UnreadableResource]
    def __init__(self, leases: _Optional[_Iterable[_Union[Lease, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., unreadable: _Optional[_Iterable[_Union[UnreadableResource, _Mapping]]] = ...) -> None: ...

class UnreadableResource(_message.Message):
    __slots__ = ("resource", "message")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    resource: str
    message: str
    def __init__(self, resource: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class LockHeld(_message.Message):
    __slots__ = ("holder",)
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    holder: Lease
    def __init__(self, holder: _Optional[_Union[Lease, _Mapping]] = ...) -> None: ...

class HoldRequest(_message.Message):
    __slots__ = ("acquire", "resume", "release", "heartbeat")
    ACQUIRE_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    acquire: HoldAcquire
    resume: HoldResume
    release: HoldRelease
    heartbeat: Heartbeat
    def __init__(self, acquire: _Optional[_Union[HoldAcquire, _Mapping]] = ..., resume: _Optional[_Union[HoldResume, _Mapping]] = ..., release: _Optional[_Union[HoldRelease, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class HoldAcquire(_message.Message):
    __slots__ = ("resource", "lease_id", "principal", "ttl", "wait", "reason", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    resource: str
    lease_id: str
    principal: str
    ttl: _duration_pb2.Duration
    wait: _duration_pb2.Duration
    reason: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, resource: _Optional[str] = ..., lease_id: _Optional[str] = ..., principal: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reason: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class HoldResume(_message.Message):
    __slots__ = ("resource", "lease_id")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    resource: str
    lease_id: str
    def __init__(self, resource: _Optional[str] = ..., lease_id: _Optional[str] = ...) -> None: ...

class HoldRelease(_message.Message):
    __slots__ = ("resource", "lease_id")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    resource: str
    lease_id: str
    def __init__(self, resource: _Optional[str] = ..., lease_id: _Optional[str] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("seq",)
    SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    def __init__(self, seq: _Optional[int] = ...) -> None: ...

class HoldResponse(_message.Message):
    __slots__ = ("queued", "granted", "denied", "heartbeat_ack", "lost", "released", "draining")
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    DENIED_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_ACK_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    RELEASED_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    queued: Queued
    granted: Granted
    denied: Denied
    heartbeat_ack: HeartbeatAck
    lost: Lost
    released: Released
    draining: Draining
    def __init__(self, queued: _Optional[_Union[Queued, _Mapping]] = ..., granted: _Optional[_Union[Granted, _Mapping]] = ..., denied: _Optional[_Union[Denied, _Mapping]] = ..., heartbeat_ack: _Optional[_Union[HeartbeatAck, _Mapping]] = ..., lost: _Optional[_Union[Lost, _Mapping]] = ..., released: _Optional[_Union[Released, _Mapping]] = ..., draining: _Optional[_Union[Draining, _Mapping]] = ...) -> None: ...

class Queued(_message.Message):
    __slots__ = ("resource", "position", "holder", "ttl")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    resource: str
    position: int
    holder: Lease
    ttl: _duration_pb2.Duration
    def __init__(self, resource: _Optional[str] = ..., position: _Optional[int] = ..., holder: _Optional[_Union[Lease, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Granted(_message.Message):
    __slots__ = ("lease", "seq", "valid_for")
    LEASE_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    VALID_FOR_FIELD_NUMBER: _ClassVar[int]
    lease: Lease
    seq: int
    valid_for: _duration_pb2.Duration
    def __init__(self, lease: _Optional[_Union[Lease, _Mapping]] = ..., seq: _Optional[int] = ..., valid_for: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Denied(_message.Message):
    __slots__ = ("resource", "lease_id", "reason", "message", "holder")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    resource: str
    lease_id: str
    reason: DenialReason
    message: str
    holder: Lease
    def __init__(self, resource: _Optional[str] = ..., lease_id: _Optional[str] = ..., reason: _Optional[_Union[DenialReason, str]] = ..., message: _Optional[str] = ..., holder: _Optional[_Union[Lease, _Mapping]] = ...) -> None: ...

class HeartbeatAck(_message.Message):
    __slots__ = ("seq", "valid_share", "behind")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    VALID_SHARE_FIELD_NUMBER: _ClassVar[int]
    BEHIND_FIELD_NUMBER: _ClassVar[int]
    seq: int
    valid_share: float
    behind: _containers.RepeatedCompositeFieldContainer[LeaseValidity]
    def __init__(self, seq: _Optional[int] = ..., valid_share: _Optional[float] = ..., behind: _Optional[_Iterable[_Union[LeaseValidity, _Mapping]]] = ...) -> None: ...

class LeaseValidity(_message.Message):
    __slots__ = ("lease_id", "valid_for")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    VALID_FOR_FIELD_NUMBER: _ClassVar[int]
    lease_id: str
    valid_for: _duration_pb2.Duration
    def __init__(self, lease_id: _Optional[str] = ..., valid_for: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Lost(_message.Message):
    __slots__ = ("resource", "lease_id", "cause")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    resource: str
    lease_id: str
    cause: LossCause
    def __init__(self, resource: _Optional[str] = ..., lease_id: _Optional[str] = ..., cause: _Optional[_Union[LossCause, str]] = ...) -> None: ...

class Released(_message.Message):
    __slots__ = ("resource", "lease_id", "outcome")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    resource: str
    lease_id: str
    outcome: ReleaseOutcome
    def __init__(self, resource: _Optional[str] = ..., lease_id: _Optional[str] = ..., outcome: _Optional[_Union[ReleaseOutcome, str]] = ...) -> None: ...

class Draining(_message.Message):
    __slots__ = ("resume_within",)
    RESUME_WITHIN_FIELD_NUMBER: _ClassVar[int]
    resume_within: _duration_pb2.Duration
    def __init__(self, resume_within: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

"""A keeper on a fake clock, with daemons that say what a test has them say."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any, List, Mapping, Optional

from google.protobuf.duration_pb2 import Duration

from stormlock_client._errors import StormlockError
from stormlock_client._gen import lock_pb2 as pb
from stormlock_client._keeper import Keeper
from stormlock_client._order import Gone, Loss, News, Order, Queued, Settled
from stormlock_client._wish import Wish


class FakeClock:
    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at


@dataclass
class FakeLink:
    address: int
    opened_at: float
    said: List[pb.HoldRequest] = field(default_factory=list)
    is_closed: bool = False

    def say(self, message: pb.HoldRequest) -> None:
        assert not self.is_closed
        self.said.append(message)

    def close(self) -> None:
        self.is_closed = True

    @property
    def kinds(self) -> List[str]:
        return [str(message.WhichOneof("kind")) for message in self.said]

    @property
    def seq(self) -> int:
        """Of the newest heartbeat."""
        return max(each.heartbeat.seq for each in self.said if each.HasField("heartbeat"))


@dataclass
class Ear:
    """What became of one wish."""

    events: List[str] = field(default_factory=list)
    error: Optional[StormlockError] = None

    def hear(self, news: News) -> None:
        if isinstance(news, Queued):
            self.events.append(f"queued {news.position}")
        elif isinstance(news, Gone):
            self.events.append(news.outcome)
        else:
            self.error = news.error
            is_granted = isinstance(news, Settled) and news.error is None
            refused = "lost" if isinstance(news, Loss) else "refused"
            self.events.append("granted" if is_granted else refused)


class World:
    def __init__(self, addresses: int = 1, patience: float = 10.0) -> None:
        self.clock = FakeClock()
        self.links: List[FakeLink] = []
        self.keeper = Keeper(self._open, addresses, self.clock, lambda: 1.0, patience)
        self.look_at = inf

    def _open(self, address: int) -> FakeLink:
        self.links.append(FakeLink(address, self.clock.at))
        return self.links[-1]

    @property
    def link(self) -> FakeLink:
        return self.links[-1]

    @property
    def now(self) -> float:
        return self.clock.at

    def look(self) -> None:
        self.look_at = self.keeper.look()

    def ask(self, resource: str = "r", **order: Any) -> tuple[Wish, Ear]:
        ear = Ear()
        order.setdefault("ttl", 30.0)
        wish = Wish(Order(resource, **order), self.clock, ear.hear)
        self.keeper.ask(wish)
        self.look()
        return wish, ear

    def hear(self, link: Optional[FakeLink] = None, **kind: Any) -> None:
        self.keeper.heard(link or self.link, pb.HoldResponse(**kind))
        self.look()

    def granted(self, wish: Wish, seq: Optional[int] = None, valid: float = 30.0) -> None:
        lease = pb.Lease(resource=wish.resource, lease_id=wish.lease_id, fencing_token=7)
        lease.ttl.CopyFrom(duration(wish.ttl))
        seq = self.link.seq if seq is None else seq
        self.hear(granted=pb.Granted(lease=lease, seq=seq, valid_for=duration(valid)))

    def ack(self, share: float = 1.0, behind: Mapping[str, float] = {}) -> None:
        """Of the newest heartbeat."""
        late = [pb.LeaseValidity(lease_id=i, valid_for=duration(v)) for i, v in behind.items()]
        seq = self.link.seq
        self.hear(heartbeat_ack=pb.HeartbeatAck(seq=seq, valid_share=share, behind=late))

    def held(self, resource: str = "r", **order: Any) -> tuple[Wish, Ear]:
        """A lock that has just been granted; no heartbeat is unanswered."""
        wish, ear = self.ask(resource, **order)
        self.granted(wish, valid=wish.ttl)
        self.ack()
        assert wish.belief.held
        return wish, ear

    def pass_time(self, seconds: float, answering: bool = False) -> None:
        """Looks whenever it is time to; `answering` has the daemon acknowledge all at once."""
        until = self.now + seconds
        if answering:
            self.ack()
        looks = 0
        while self.look_at <= until:
            looks += 1
            assert looks < 10_000, "it looks again and again"
            self.clock.at = max(self.now, self.look_at)
            heard = len(self.link.said)
            self.look()
            if answering and "heartbeat" in self.link.kinds[heard:]:
                self.ack()
        self.clock.at = until

    def ended(self, error: StormlockError, link: Optional[FakeLink] = None) -> None:
        self.keeper.ended(link or self.link, error)
        self.look()


def duration(seconds: float) -> Duration:
    value = Duration()
    value.FromMicroseconds(round(seconds * 1_000_000))
    return value

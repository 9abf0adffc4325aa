"""The holder's side of Hold streams: any number of leases, one stream at a time. No input and
output, no threads, no clock of its own: whoever drives it opens links, passes on what they say,
and looks again when it is time.

K4.  An ack speaks of the leases that were granted on its own stream before it, no others.
K5.  A broken stream is not a loss: every lease is resumed on the next address until its deadline;
     every wait is asked for again with the same lease id.
K6.  Who releases stops believing before the release is sent.
K7.  The end of belief alone releases nothing before the lease would have ended anyway.
K8.  A stream that leaves a heartbeat unanswered is left for the next address. What has arrived is
     read first, and who speaks is not silent. Where all addresses are silent each gets twice the
     time in the next round.
K10. A stream that answers is left as well, while there is another address: when it does not
     confirm what is held and a quarter of the ttl is left (K1 to K3 and K9 are in _belief.py), or
     when the daemon's store has no answer and nobody stands in a queue there.
"""

from __future__ import annotations

from math import inf
from typing import Callable, Dict, Iterable, List, Optional

from ._clock import Clock
from ._errors import Cancelled, InvalidField, StormlockError, Unavailable, Unreachable
from ._gen import lock_pb2 as pb
from ._lease import lease_from, seconds
from ._order import Listener, Order
from ._route import Patience, Route
from ._stream import Link, Stream
from ._wish import Wish

LONGEST_PERIOD = 15.0
# A daemon's nonsense shall not make a holder flood it.
SHORTEST_PERIOD = 0.1
# A heartbeat is answered within a quarter of the period; with a whole one gone, or this much, the
# daemon is not there, whatever its connection says.
LONGEST_SILENCE = 5.0
SHORTEST_SILENCE = 0.25
# Whoever looks this much too late was stopped: what has arrived meanwhile gets the time to be read.
LATE = 0.1
READING = 0.1


class Keeper:
    def __init__(
        self,
        open_link: Callable[[int], Link],
        addresses: int,
        clock: Clock,
        random: Callable[[], float],
        patience: float = 10.0,
    ) -> None:
        """`open_link` opens a stream to the address of that index, at once and without waiting."""
        self._open_link = open_link
        self._clock = clock
        self._route = Route(addresses, clock, random)
        self._patience = Patience(patience)
        self._wishes: Dict[str, Wish] = {}
        self._next: Dict[str, Wish] = {}  # wait until the daemon has let the old lease go
        self._stream: Optional[Stream] = None
        self._seq = 0
        self._must_beat = False
        self._period = inf
        self._look_at = inf
        self._touched: Dict[Wish, None] = {}  # since the last look; in this order
        self._is_stale = True  # something has changed for all of them
        self._read_until = -inf
        self.closed = False

    # --- for the holder ---

    def ask(self, order: Order, listener: Listener) -> Wish:
        """Takes a lock and keeps it until it is released or lost. One that is being released, or
        was lost, can be asked for again. Raises InvalidField, Cancelled."""
        if self.closed:
            raise Cancelled("this client is closed")
        earlier = self._wishes.get(order.resource)
        is_leaving = earlier is None or earlier.phase in ("releasing", "over")
        if not is_leaving or order.resource in self._next:
            raise InvalidField(
                f"{order.resource} is held or awaited by this client already", "resource"
            )
        wish = Wish(order, self._clock, listener)
        (self._wishes if earlier is None else self._next)[order.resource] = wish
        self._touched[wish] = None
        self._is_stale = self._is_stale or earlier is not None
        return wish

    def release(self, wish: Wish) -> None:
        """Ends belief at once (K6), and the lease as soon as a daemon answers; or gives the wait
        for it up."""
        wish.release()
        self._touched[wish] = None

    def close(self) -> None:
        """Releases everything. It is done when `is_idle`, after a few more looks."""
        self.closed = True
        self._is_stale = True
        for wish in self._all():
            wish.release()

    def abort(self, error: StormlockError) -> None:
        """Nobody drives it any more: nothing is believed, and nobody waits for nothing."""
        self.closed = True
        for wish in self._all():
            wish.abort(error)

    @property
    def is_idle(self) -> bool:
        return not self._wishes and not self._next

    def hang_up(self) -> None:
        if self._stream is not None:
            self._stream.link.close()
            self._stream = None
            self._is_stale = True

    # --- for whoever drives it: a look after every event, and at the time that it tells ---

    def look(self) -> float:
        """Does what is due, and tells when to look again."""
        now = self._clock.now()
        if now > self._look_at + LATE:
            self._read_until = now + READING  # K8
        # With many locks it matters that what happens to one makes nobody look at all of them.
        if now < self._look_at and self._stream is not None and not self._is_stale:
            self._look_at_touched(self._stream, now)
        if now >= self._look_at or self._stream is None or self._is_stale:
            self._look_at_all(now)
        return self._look_at

    def _look_at_touched(self, stream: Stream, now: float) -> None:
        touched, self._touched = [*self._touched], {}
        for wish in touched:
            self._visit(wish, now)
        touched = [wish for wish in touched if self._wishes.get(wish.resource) is wish]
        self._period = min([self._period, *(_period_of(wish.ttl) for wish in touched)])
        at = self._look_at
        if self._speak(stream, now, touched):
            at = min(at, now + SHORTEST_SILENCE, now + self._period)
        for wish in touched:
            urgent_at = wish.urgent_at(stream.opened_at, self._period)
            at = min(at, urgent_at, self._next_look_at(wish))
        self._look_at = inf if self.is_idle else at

    def _look_at_all(self, now: float) -> None:
        for wish in self._all():
            self._visit(wish, now)
        self._period = min((_period_of(wish.ttl) for wish in self._wishes.values()), default=inf)
        if self._wishes:
            if self._stream is not None and now >= self._silent_until(self._stream):
                self._leave(Unavailable("the daemon has left a heartbeat unanswered"))  # K8
            if self._stream is not None and now >= self._useless_at(self._stream):
                self.hang_up()  # K10
                self._route.move()
            if self._stream is None and now >= self._route.connect_at:
                self._stream = self._connect()
            if self._stream is not None:
                self._speak(self._stream, now, self._wishes.values())
        self._touched = {}
        self._is_stale = False
        self._look_at = self._next_look()

    def _visit(self, wish: Wish, now: float) -> None:
        wish.look(now)
        if wish.is_open and now >= self._patience.ends_at(wish, self._answer):
            wish.give_up(self._patience.reason(wish))
        if wish.phase == "over":
            self._forget(wish)

    def heard(self, link: Link, message: pb.HoldResponse) -> None:
        stream = self._stream
        if stream is None or stream.link is not link:
            return
        self._patience.end()
        self._route.succeed(stream.hear())
        kind = message.WhichOneof("kind")
        if kind == "heartbeat_ack":
            self._on_ack(stream, message.heartbeat_ack)
        elif kind == "granted":
            self._on_granted(stream, message.granted)
        elif kind == "draining":
            self._leave(Unavailable("the daemon is about to stop"))
        elif kind == "queued":
            wish = self._touch(message.queued.resource)
            if wish is not None:
                wish.on_queued(message.queued)
        elif kind == "denied":
            wish = self._touch(message.denied.resource, message.denied.lease_id)
            if wish is not None:
                wish.on_denied(message.denied)
                self._is_stale = True
        elif kind == "lost":
            stream.granted.discard(message.lost.lease_id)
            wish = self._touch(message.lost.resource, message.lost.lease_id)
            if wish is not None:
                wish.on_lost(message.lost)
        elif kind == "released":
            stream.granted.discard(message.released.lease_id)
            wish = self._touch(message.released.resource, message.released.lease_id)
            if wish is not None:
                wish.on_released(message.released)

    def ended(self, link: Link, error: StormlockError) -> None:
        """The link has ended, or could not be opened."""
        if self._stream is not None and self._stream.link is link:
            self._leave(error)

    # --- inside ---

    def _all(self) -> List[Wish]:
        return [*self._wishes.values(), *self._next.values()]

    # The one that something is said of; it is to be looked at.
    def _touch(self, resource: str, lease_id: Optional[str] = None) -> Optional[Wish]:
        wish = self._wishes.get(resource)
        if wish is None or (lease_id is not None and wish.lease_id != lease_id):
            return None
        self._touched[wish] = None
        return wish

    def _forget(self, wish: Wish) -> None:
        if self._next.get(wish.resource) is wish:
            del self._next[wish.resource]
        elif self._wishes.get(wish.resource) is wish:
            del self._wishes[wish.resource]
            if self._stream is not None:
                self._stream.granted.discard(wish.lease_id)
            successor = self._next.pop(wish.resource, None)
            if successor is not None:
                self._wishes[wish.resource] = successor
                self._is_stale = True

    # Says what has not been said on this stream: a heartbeat first, then what it carries.
    def _speak(self, stream: Stream, now: float, wishes: Iterable[Wish]) -> bool:
        due = [wish for wish in wishes if now >= wish.speak_at]
        is_beating = bool(due) or self._must_beat or now >= stream.last_beat_at + self._period
        if is_beating:
            self._must_beat = False
            self._seq += 1
            stream.beat(self._seq)
            self._patience.begin(stream.last_beat_at)
        for wish in due:
            stream.link.say(wish.next_message(now))
        return is_beating

    def _connect(self) -> Stream:
        for wish in self._wishes.values():
            wish.on_new_stream()
        return Stream(self._open_link(self._route.address), self._clock, self._seq)

    # K5
    def _leave(self, error: StormlockError) -> None:
        self.hang_up()
        self._patience.note(error)
        self._route.fail()
        for wish in self._wishes.values():
            if isinstance(error, Unreachable):
                wish.on_unheard()
            if error.definite:
                wish.give_up(error)

    def _on_ack(self, stream: Stream, ack: pb.HeartbeatAck) -> None:
        sent_at = stream.sent_at(ack.seq)
        if sent_at is None:
            return
        stream.acknowledge(ack.seq)
        behind = {each.lease_id: seconds(each.valid_for) for each in ack.behind}
        for wish in self._wishes.values():
            if wish.lease_id in stream.granted:  # K4
                valid_for = behind.get(wish.lease_id, ack.valid_share * wish.ttl)
                if wish.confirm(sent_at, valid_for):
                    self._touched[wish] = None

    def _on_granted(self, stream: Stream, granted: pb.Granted) -> None:
        lease = lease_from(granted.lease)
        wish = self._touch(lease.resource, lease.lease_id)
        if wish is None:
            # Nobody wants it any more, and nobody has believed in it.
            release = pb.HoldRelease(resource=lease.resource, lease_id=lease.lease_id)
            stream.link.say(pb.HoldRequest(release=release))
            return
        stream.granted.add(lease.lease_id)
        sent_at = stream.sent_at(granted.seq)
        wish.on_granted(lease, -inf if sent_at is None else sent_at, seconds(granted.valid_for))
        self._must_beat = True

    # --- when ---

    # How long a heartbeat may stay unanswered (K8).
    @property
    def _silence(self) -> float:
        is_new = self._stream is not None and not self._stream.is_heard
        rounds = min(self._route.rounds, 10) if is_new else 0
        return min(max(self._period, SHORTEST_SILENCE) * 2.0**rounds, LONGEST_SILENCE)

    # How long a daemon that is being talked to has to answer.
    @property
    def _answer(self) -> float:
        return 0.0 if self._stream is None else self._silence

    # No longer than what is held can wait, once a daemon that is there would have answered.
    def _silent_until(self, stream: Stream) -> float:
        answered = stream.silent_since + max(self._period / 2, SHORTEST_SILENCE)
        urgent = max(self._urgent_at(stream), answered)
        return max(min(stream.silent_until(self._silence), urgent), self._read_until)

    # When a stream that answers is to be left all the same (K10).
    def _useless_at(self, stream: Stream) -> float:
        may_move_at = self._route.may_move_at
        if may_move_at == inf:
            return inf
        at = -inf if self._is_put_off() else self._urgent_at(stream)
        return max(may_move_at, at, self._read_until)

    def _urgent_at(self, stream: Stream) -> float:
        at = (wish.urgent_at(stream.opened_at, self._period) for wish in self._wishes.values())
        return min(at, default=inf)

    # Whether a daemon's store has no answer for one of them, and nobody would lose his place in a
    # queue by asking another daemon.
    def _is_put_off(self) -> bool:
        standings = {wish.standing for wish in self._wishes.values()}
        return "put-off" in standings and "queued" not in standings

    def _next_look(self) -> float:
        if self.is_idle:
            return inf
        stream = self._stream
        at = self._route.connect_at
        if stream is not None:
            beat_at = stream.last_beat_at + self._period
            at = min(self._silent_until(stream), self._useless_at(stream), beat_at)
        return min([at, *map(self._next_look_at, self._all())])

    def _next_look_at(self, wish: Wish) -> float:
        at = wish.look_at
        if self._stream is not None and self._wishes.get(wish.resource) is wish:
            at = min(at, wish.speak_at)
        return min(at, self._patience.ends_at(wish, self._answer)) if wish.is_open else at


def _period_of(ttl: float) -> float:
    return max(min(ttl / 3, LONGEST_PERIOD), SHORTEST_PERIOD)

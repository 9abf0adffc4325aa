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
from typing import Callable, Iterable, Optional

from ._clock import Clock
from ._errors import Cancelled, StormlockError, Unavailable, Unreachable
from ._gen import lock_pb2 as pb
from ._lease import lease_from, seconds
from ._route import Patience, Route
from ._stream import Link, Stream
from ._timing import SHORTEST_SILENCE, Timing
from ._wish import Wish
from ._wishes import Wishes


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
        self._wishes = Wishes()
        self._timing = Timing(self._wishes, self._route, self._patience)
        self._stream: Optional[Stream] = None
        self._seq = 0
        self._must_beat = False
        self._look_at = inf
        self.closed = False

    # --- for the holder ---

    def ask(self, wish: Wish) -> None:
        """Takes a lock and keeps it until it is released or lost. One that is being released, or
        was lost, can be asked for again. Raises InvalidField, Unavailable, Cancelled."""
        if self.closed:
            raise Cancelled("this client is closed")
        self._wishes.add(wish)

    def release(self, wish: Wish) -> None:
        """Ends belief at once (K6), and the lease as soon as a daemon answers; or gives the wait
        for it up, whether it has been asked for yet or not."""
        wish.release()
        self._wishes.touch(wish)

    def close(self) -> None:
        """Releases everything. It is done when `is_idle`, after a few more looks."""
        self.closed = True
        self._wishes.is_stale = True
        for wish in self._wishes.all:
            wish.release()

    def abort(self, error: StormlockError) -> None:
        """Nobody drives it any more: nothing is believed, and nobody waits for nothing."""
        self.closed = True
        for wish in self._wishes.all:
            wish.abort(error)

    @property
    def is_idle(self) -> bool:
        return self._wishes.is_empty

    def hang_up(self) -> None:
        if self._stream is not None:
            self._stream.link.close()
            self._stream = None
            self._wishes.is_stale = True

    # --- for whoever drives it: a look after every event, and at the time that it tells ---

    def look(self) -> float:
        """Does what is due, and tells when to look again."""
        now = self._clock.now()
        self._timing.look(now, self._look_at)
        # With many locks it matters that what happens to one makes nobody look at all of them.
        if not self._is_all_due(now):
            self._look_at_touched(now)
        if self._is_all_due(now):
            self._look_at_all(now)
        return self._look_at

    def _is_all_due(self, now: float) -> bool:
        return now >= self._look_at or self._stream is None or self._wishes.is_stale

    def _look_at_touched(self, now: float) -> None:
        touched = self._wishes.take_touched()
        for wish in touched:
            self._visit(wish, now)
        self._speak([wish for wish in touched if self._wishes.is_present(wish)], now)
        if touched:
            # Nothing that follows from it is due sooner.
            self._look_at = min(self._look_at, now + SHORTEST_SILENCE)

    def _look_at_all(self, now: float) -> None:
        for wish in self._wishes.all:
            self._visit(wish, now)
        self._timing.set_period()
        if not self._wishes.is_empty:
            if self._stream is not None and now >= self._timing.silent_until(self._stream):
                self._leave(Unavailable("the daemon has left a heartbeat unanswered"))  # K8
            if self._stream is not None and now >= self._timing.useless_at(self._stream):
                self.hang_up()  # K10
                self._route.move()
            if self._stream is None and now >= self._route.connect_at:
                self._stream = self._connect()
            self._speak(self._wishes.present, now)
        self._wishes.take_touched()
        self._wishes.is_stale = False
        self._look_at = self._timing.next_look(self._stream)

    def _visit(self, wish: Wish, now: float) -> None:
        wish.look(now)
        if wish.is_open and now >= self._patience.ends_at(wish, self._timing.answer(self._stream)):
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
            if wish := self._wishes.find(message.queued.resource):
                wish.on_queued(message.queued)
        elif kind == "denied":
            if wish := self._wishes.find(message.denied.resource, message.denied.lease_id):
                wish.on_denied(message.denied)
                self._wishes.is_stale = True
        elif kind == "lost":
            stream.granted.discard(message.lost.lease_id)
            if wish := self._wishes.find(message.lost.resource, message.lost.lease_id):
                wish.on_lost(message.lost)
        elif kind == "released":
            stream.granted.discard(message.released.lease_id)
            if wish := self._wishes.find(message.released.resource, message.released.lease_id):
                wish.on_released(message.released)

    def ended(self, link: Link, error: StormlockError) -> None:
        """The link has ended, or could not be opened."""
        if self._stream is not None and self._stream.link is link:
            self._leave(error)

    # --- inside ---

    def _forget(self, wish: Wish) -> None:
        if self._stream is not None and self._wishes.is_present(wish):
            self._stream.granted.discard(wish.lease_id)
        self._wishes.forget(wish)

    # Says what has not been said on this stream: a heartbeat first, then what it carries.
    def _speak(self, wishes: Iterable[Wish], now: float) -> None:
        stream = self._stream
        if stream is None:
            return
        due = [wish for wish in wishes if now >= wish.speak_at]
        if due or self._must_beat or now >= stream.last_beat_at + self._timing.period:
            self._must_beat = False
            self._seq += 1
            stream.beat(self._seq)
            self._patience.begin(stream.last_beat_at)
        for wish in due:
            stream.link.say(wish.next_message(now))

    def _connect(self) -> Stream:
        for wish in self._wishes.present:
            wish.on_new_stream()
        return Stream(self._open_link(self._route.address), self._clock, self._seq)

    # K5
    def _leave(self, error: StormlockError) -> None:
        self.hang_up()
        self._patience.note(error)
        self._route.fail()
        for wish in self._wishes.present:
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
        for wish in self._wishes.present:
            if wish.lease_id in stream.granted:  # K4
                valid_for = behind.get(wish.lease_id, ack.valid_share * wish.ttl)
                if wish.confirm(sent_at, valid_for):
                    self._wishes.touch(wish)

    def _on_granted(self, stream: Stream, granted: pb.Granted) -> None:
        lease = lease_from(granted.lease)
        wish = self._wishes.find(lease.resource, lease.lease_id)
        if wish is None:
            # Nobody wants it any more, and nobody has believed in it.
            release = pb.HoldRelease(resource=lease.resource, lease_id=lease.lease_id)
            stream.link.say(pb.HoldRequest(release=release))
            return
        stream.granted.add(lease.lease_id)
        sent_at = stream.sent_at(granted.seq)
        wish.on_granted(lease, -inf if sent_at is None else sent_at, seconds(granted.valid_for))
        self._must_beat = True

"""One wanted lock, from its first ask to its end. The keeper speaks and listens for it."""

from __future__ import annotations

from math import inf
from typing import Callable, Dict, Literal, Optional, Type

from ._belief import Belief
from ._clock import Clock
from ._errors import Cancelled, InvalidField, LeaseLost, LockHeld, NotAllowed, StormlockError
from ._gen import lock_pb2 as pb
from ._lease import LONGEST, Lease, duration_of, lease_from, new_lease_id, seconds
from ._order import Gone, Loss, News, Order, Outcome, Queued, Settled, acquire_of

# What a ttl is taken for until the daemon has told it: the daemons' own default.
ASSUMED_TTL = 60.0
# How soon something is said again that the daemon could not answer.
RETRY = 0.25
# How long a release, or the refusal of a wait that is over, may stay unanswered: long enough for a
# daemon to be restarted.
FAREWELL = 5.0
# The same for a lease that nobody believes in, or never has: it ends by itself.
SHORT_FAREWELL = 1.0

# What ends a wait, besides that somebody else holds the lock.
_REFUSALS: Dict[int, Type[StormlockError]] = {
    pb.DENIAL_REASON_INVALID_FIELD: InvalidField,
    pb.DENIAL_REASON_ALREADY_ON_STREAM: InvalidField,
    pb.DENIAL_REASON_NOT_ALLOWED: NotAllowed,
}
_CAUSES: Dict[int, str] = {
    pb.LOSS_CAUSE_UNSPECIFIED: "no cause given",
    pb.LOSS_CAUSE_NOT_HELD: "it expired, or was released by its id",
    pb.LOSS_CAUSE_EXPIRED: "it could not be renewed in time",
    pb.LOSS_CAUSE_RESUMED_ELSEWHERE: "another stream has resumed it",
}


class Wish:
    def __init__(self, order: Order, clock: Clock, tell: Callable[[News], object]) -> None:
        """Raises InvalidField."""
        self.resource = order.resource
        # Made here, so that what cannot be said stops its caller and not the keeper of the others.
        self._ask = acquire_of(order, pb.HoldAcquire)
        self._clock = clock
        self._tell = tell
        self.since = clock.now()
        self._until = self.since + (inf if order.wait is None else max(0.0, order.wait))
        self.lease_id = new_lease_id()
        self.lease: Optional[Lease] = None
        self.ttl = ASSUMED_TTL if order.ttl is None else order.ttl
        self.belief = Belief(clock, self.ttl)
        #: asking: not held yet; holding: granted, and believed or about to be; releasing: not
        #: believed in any more, the daemon is to end it.
        self.phase: Literal["asking", "holding", "releasing", "over"] = "asking"
        #: Whether a daemon has ever had it stand in a queue.
        self.has_queued = False
        self._is_settled = False
        self._times_asked = 0  # by which a daemon may have heard of it
        self._release_at = -inf
        self._times_released = 0  # by which a daemon may have heard of it
        # What was said on the present stream, and how that was answered.
        self._is_said = False
        self._retry_at = -inf
        self._standing: Literal["unknown", "queued", "put-off"] = "unknown"
        #: What a daemon has said last of why it cannot answer.
        self.trouble: Optional[str] = None

    @property
    def is_open(self) -> bool:
        """Whether its caller still waits: not held yet, or granted and not yet confirmed."""
        return self.phase == "asking" or (
            self.phase == "holding" and self.belief.state == "PENDING"
        )

    @property
    def is_wanted(self) -> bool:
        """Whether it is asked for or held, and not on its way out."""
        return self.phase in ("asking", "holding")

    @property
    def standing(self) -> Literal["unknown", "queued", "put-off"]:
        return self._standing if self.is_wanted else "unknown"

    @property
    def give_up_at(self) -> float:
        """The daemon refuses a wait that is over by itself; this is for when it does not answer."""
        return self._until + FAREWELL

    # --- when there is something to do ---

    @property
    def look_at(self) -> float:
        if self.phase == "releasing":
            return self._farewell_ends
        if self.phase == "holding" and not self.is_open:
            return self.belief.deadline
        return inf

    @property
    def speak_at(self) -> float:
        if self.phase == "over" or self._is_said:
            return inf
        if self.phase == "releasing":
            return max(self._retry_at, self._release_at)
        return self._retry_at

    def urgent_at(self, opened_at: float, period: float) -> float:
        return self.belief.urgent_at(opened_at, period) if self.phase == "holding" else inf

    def look(self, now: float) -> None:
        """Does what time has brought."""
        if self.phase == "holding" and self.belief.state == "LOST":
            self._lose(f"the lease of {self.resource} could not be renewed in time")
        if self.phase == "releasing" and now >= self._farewell_ends:
            self._over("unknown")

    # --- what is said ---

    def next_message(self, now: float) -> pb.HoldRequest:
        self._is_said = True
        named = {"resource": self.resource, "lease_id": self.lease_id}
        if self.phase == "holding":
            return pb.HoldRequest(resume=pb.HoldResume(**named))
        if self.phase == "releasing":
            self._times_released += 1
            return pb.HoldRequest(release=pb.HoldRelease(**named))
        self._times_asked += 1
        ask = pb.HoldAcquire()
        ask.CopyFrom(self._ask)
        ask.lease_id = self.lease_id
        if self._until - now < LONGEST:
            ask.wait.CopyFrom(duration_of(max(0.0, self._until - now), up=True))
        return pb.HoldRequest(acquire=ask)

    def on_new_stream(self) -> None:
        """All that was said is forgotten with the stream it was said on."""
        self._again()
        self._standing = "unknown"

    def on_unheard(self) -> None:
        """The stream never came about: nobody has heard what was said on it."""
        if self.phase == "asking" and self._is_said:
            self._times_asked -= 1
        if self.phase == "releasing" and self._is_said:
            self._times_released -= 1
        self._again()

    # --- what is heard ---

    def on_queued(self, message: pb.Queued) -> None:
        if self.phase != "asking":
            return
        self.has_queued = True
        self.ttl = seconds(message.ttl) or self.ttl
        # A store that is out does not tell who holds it.
        holder = lease_from(message.holder) if message.HasField("holder") else None
        if holder is not None:
            self._standing = "queued"
        elif self._standing == "queued":
            self._standing = "unknown"
        self._tell(Queued(message.position, holder))

    def on_granted(self, lease: Lease, sent_at: float, valid_for: float) -> None:
        self._standing = "unknown"
        self.trouble = None
        if self.phase == "asking":
            self.phase = "holding"
            self.lease = lease
            self.ttl = lease.ttl
            self.belief = Belief(self._clock, lease.ttl)
        if self.phase == "holding":
            self.confirm(sent_at, valid_for)

    def confirm(self, sent_at: float, valid_for: float) -> bool:
        """Takes in an answer; tells whether belief begins with it."""
        if self.phase != "holding" or not self.belief.confirm(sent_at, valid_for):
            return False
        begins = not self._is_settled
        self._settle(None)
        return begins

    def on_denied(self, message: pb.Denied) -> None:
        is_held = message.reason == pb.DENIAL_REASON_LOCK_HELD
        is_gone = message.reason == pb.DENIAL_REASON_LEASE_LOST
        refusal = _REFUSALS.get(message.reason)
        if self.phase == "asking" and is_held:
            holder = lease_from(message.holder) if message.HasField("holder") else None
            self._refused(LockHeld(message.message, holder))
        elif self.phase == "asking" and is_gone:
            self._ended(message.message)
        elif self.phase == "asking" and refusal is not None:
            self._refused(refusal(message.message))
        elif self.phase != "over":
            self._again(self._clock.now() + RETRY)
            if not (is_held or is_gone or refusal):
                # The store did not answer, or the reason is newer than this client.
                self._standing = "put-off"
                self.trouble = message.message

    def on_lost(self, message: pb.Lost) -> None:
        if self.phase == "releasing":
            self._over(self._not_held)
        elif self.phase != "over":
            why = _CAUSES.get(message.cause, "for a reason that is newer than this client")
            self._ended(f"the daemon says that the lease of {self.resource} is lost: {why}")

    def on_released(self, message: pb.Released) -> None:
        if self.phase == "releasing":
            is_released = message.outcome == pb.RELEASE_OUTCOME_RELEASED
            self._over("released" if is_released else self._not_held)

    # --- what ends it ---

    def release(self) -> None:
        """Ends belief at once (K6), and the lease as soon as a daemon answers."""
        self.give_up(Cancelled(f"the wait for {self.resource} was given up"))
        self.belief.end("RELEASED")
        now = self._clock.now()
        if self.phase == "holding" or (self.phase == "releasing" and self._release_at > now):
            self._to_release(now)

    def give_up(self, error: StormlockError) -> None:
        """The wait is over. What is held already stays so until its deadline."""
        if not self.is_open:
            return
        self._settle(error)
        if self._times_asked == 0:
            self._over("not-held")
        else:
            self._to_release(self._clock.now())

    def abort(self, error: StormlockError) -> None:
        """There is no keeper any more."""
        self._settle(error)
        if self.phase == "holding":
            self.belief.end("LOST")
            self._tell(Loss(LeaseLost(f"{self.resource} is not kept any more: {error}")))
        if self.phase != "over":
            self._over("unknown")

    # What it means that the lease is gone: a release before the last, which was not answered, may
    # have ended it, or somebody else.
    @property
    def _not_held(self) -> Outcome:
        return "not-held" if self._times_released <= 1 else "unknown"

    def _refused(self, error: StormlockError) -> None:
        self._settle(error)
        self._over("not-held")

    # The lease has ended at the daemon. Nobody has believed in one that was only pending, or that
    # was granted to an ask whose answer was lost: a new id is as good.
    def _ended(self, why: str) -> None:
        if self.belief.state == "PENDING" and self._times_asked > 0:
            self.phase = "asking"
            self.lease_id = new_lease_id()
            self._again(self._clock.now() + RETRY if self._times_asked > 1 else -inf)
            return
        self.belief.end("LOST")
        self._lose(why)
        self._over("not-held")

    # K7. By valid_until the store may have given it to somebody else; until then it need not.
    def _lose(self, why: str) -> None:
        self._tell(Loss(LeaseLost(why)))
        self._to_release(self.belief.valid_until)

    def _to_release(self, at: float) -> None:
        self.phase = "releasing"
        self._release_at = at
        self._again()

    def _over(self, outcome: Outcome) -> None:
        self.phase = "over"
        self._tell(Gone(outcome))

    def _settle(self, error: Optional[StormlockError]) -> None:
        if not self._is_settled:
            self._is_settled = True
            self._tell(Settled(error))

    def _again(self, at: float = -inf) -> None:
        self._is_said = False
        self._retry_at = at

    @property
    def _farewell_ends(self) -> float:
        was_kept = self.belief.state != "LOST" and self.belief.deadline != -inf
        return self._release_at + (FAREWELL if was_kept else SHORT_FAREWELL)

package stormlock

import (
	"context"
	"math"

	pb "github.com/stormlock/stormlock/clients/go/stormlockv1"
)

// What a wish makes of what a daemon says.

// onNewStream: all that was said is forgotten with the stream it was said on.
func (w *wish) onNewStream() {
	w.sayAgain(math.Inf(-1))
	w.standing = unknown
}

// onUnheard: the stream never came about, so nobody has heard what was said on it.
func (w *wish) onUnheard() {
	switch {
	case w.phase == asking && w.isSaid:
		w.times--
	case w.phase == releasing && w.isSaid:
		w.releases--
	}
	w.sayAgain(math.Inf(-1))
}

func (w *wish) onPlace(message *pb.Queued) {
	if w.phase != asking {
		return
	}
	if ttl := message.GetTtl().AsDuration(); ttl > 0 { // Without one no flood of heartbeats.
		w.ttlMs = millis(ttl)
	}
	w.hasQueued = true
	holder := leaseInfo(message.GetHolder())
	if holder != nil {
		w.standing = queued
	} else if w.standing == queued {
		w.standing = unknown
	}
	select { // Only the newest place matters to a caller who is slow.
	case <-w.places:
	default:
	}
	w.places <- place{int(message.GetPosition()), holder}
}

func (w *wish) onGranted(nowMs float64, lease *LeaseInfo, sentAtMs, validForMs float64) {
	w.standing, w.trouble = unknown, ""
	if w.phase == asking {
		w.phase = holding
		w.lease = lease
		w.ttlMs = millis(lease.TTL)
		w.belief = newBelief(w.ttlMs)
	}
	w.confirm(nowMs, sentAtMs, validForMs)
}

func (w *wish) confirm(nowMs, sentAtMs, validForMs float64) {
	if w.phase != holding || !w.belief.confirm(nowMs, sentAtMs, validForMs) || w.isDecided {
		return
	}
	w.ctx, w.cancel = context.WithCancelCause(w.parent)
	w.decide(nil)
}

func (w *wish) onDenied(nowMs float64, message *pb.Denied) {
	denied := &Error{Message: message.GetMessage()}
	switch message.GetReason() {
	case pb.DenialReason_DENIAL_REASON_LOCK_HELD:
		denied.Kind = ErrHeld
		denied.Holder = leaseInfo(message.GetHolder())
	case pb.DenialReason_DENIAL_REASON_LEASE_LOST:
		denied.Kind = ErrLost
	case pb.DenialReason_DENIAL_REASON_NOT_ALLOWED:
		denied.Kind = ErrNotAllowed
	case pb.DenialReason_DENIAL_REASON_INVALID_FIELD, pb.DenialReason_DENIAL_REASON_ALREADY_ON_STREAM:
		denied.Kind = ErrInvalidField
	default: // The store does not answer, or this client is too old for the reason.
		denied.Kind = ErrUnavailable
	}
	switch {
	case denied.Kind == ErrUnavailable:
		w.standing, w.trouble = putOff, message.GetMessage()
		w.sayAgain(nowMs + retryMs)
	case w.phase != asking:
		w.sayAgain(nowMs + retryMs)
	case denied.Kind == ErrLost:
		w.onLost(nowMs, message.GetMessage())
	default:
		w.decide(denied)
		w.finish(denied)
	}
}

// onLost: the lease has ended at the daemon. Nobody has believed in one that was only pending, or
// that was granted to an ask whose answer was lost: a new id is as good.
func (w *wish) onLost(nowMs float64, why string) {
	if w.phase == releasing {
		w.finish(w.notHeld())
		return
	}
	if w.belief.state(nowMs) == pending && w.times > 0 {
		w.phase = asking
		w.leaseID = NewLeaseID()
		w.sayAgain(math.Inf(-1))
		if w.times > 1 {
			w.sayAgain(nowMs + retryMs)
		}
		return
	}
	w.belief.end(nowMs, Lost)
	w.lose(why)
	w.finish(w.notHeld())
}

func (w *wish) onReleased(outcome pb.ReleaseOutcome) {
	switch {
	case w.phase != releasing: // The answer to something that was said before.
	case outcome == pb.ReleaseOutcome_RELEASE_OUTCOME_RELEASED:
		w.finish(nil)
	case w.releases > 1:
		// One before it that was not answered has ended it, for all that is known: it was held when
		// that was said.
		w.finish(nil)
	default:
		w.finish(w.notHeld())
	}
}

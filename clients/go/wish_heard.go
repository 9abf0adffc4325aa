package stormlock

import (
	"context"
	"math"

	pb "github.com/stormlock/stormlock/clients/go/stormlockv1"
)

// What a wish makes of what a daemon says.

// onNewStream: all that was said is forgotten with the stream it was said on.
func (w *wish) onNewStream() {
	w.sayAtMs = math.Inf(-1)
	w.standing = unknown
}

// onUnheard: the stream never came about, so nobody has heard what was said on it.
func (w *wish) onUnheard() {
	if math.IsInf(w.sayAtMs, 1) {
		w.said--
	}
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
	if w.onQueued == nil {
		return
	}
	select { // Only the newest place matters to a caller who is slow.
	case <-w.news:
	default:
	}
	w.news <- func() { w.onQueued(int(message.GetPosition()), holder) }
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
	if w.phase == holding && w.belief.confirm(nowMs, sentAtMs, validForMs) && !isOver(w.decided) {
		w.ctx, w.cancel = context.WithCancelCause(w.parent)
		w.decide(nil)
	}
}

func (w *wish) onDenied(nowMs float64, denied *Error) {
	switch {
	case denied.Kind == ErrUnavailable:
		w.standing, w.trouble = putOff, denied.Message
		w.sayAtMs = nowMs + retryMs
	case w.phase != asking:
		w.sayAtMs = nowMs + retryMs
	case denied.Kind == ErrLost:
		w.onLost(nowMs, denied.Message)
	default:
		w.decide(denied)
		w.finish(denied)
	}
}

// onLost: the lease has ended at the daemon. Nobody has believed in one that was only pending, or
// that was granted to an ask whose answer was lost: a new id is as good.
func (w *wish) onLost(nowMs float64, why string) {
	switch {
	case w.phase == releasing:
		w.onReleased(pb.ReleaseOutcome_RELEASE_OUTCOME_NOT_HELD)
	case w.belief.state(nowMs) == pending:
		w.enter(asking)
		w.sayAtMs = nowMs + retryMs
		w.leaseID = NewLeaseID()
	default:
		w.belief.end(nowMs, lost)
		w.lose(why)
		w.finish(w.notHeld())
	}
}

func (w *wish) onReleased(outcome pb.ReleaseOutcome) {
	switch {
	case w.phase != releasing: // The answer to something that was said before.
	case outcome == pb.ReleaseOutcome_RELEASE_OUTCOME_RELEASED, w.said > 1:
		// Where it was said before, and not answered, that may have ended it, for all that is known:
		// it was held then.
		w.finish(nil)
	default:
		w.finish(w.notHeld())
	}
}

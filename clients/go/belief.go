package stormlock

import "math"

// What a holder may believe about one lease.
//
//	K1. Belief ends at t0 + valid·(1−ρ) − δ, where t0 was read before the heartbeat was sent that
//	    the answer echoes: validity never counts from an answer.
//	K2. Lost is final: a late answer revives nothing, and no answer moves the end back.
//	K3. The end is looked up on the clock whenever it is asked about: a program that was stopped, a
//	    machine that was suspended and a late timer all find the truth.
//	K9. Belief does not begin with a lease that is nearly over: a grant that was held up for long
//	    waits for the next answer. Who begins to rely on a lock needs time to do so.
//
// Moments are milliseconds on the holder's own clock (systemNowMs). −Inf has always been, +Inf
// never comes.

const (
	clockRateError = 0.01 // ρ: by how much the rates of two clocks may differ.
	leastMarginMs  = 100  // δ is at least this,
	marginShare    = 0.05 // and at least this share of the ttl: time to act on the end.

	beginShare  = 1. / 2 // Belief begins with this share of what a grant without delay would give.
	urgentShare = 1. / 4 // With this share of the ttl left somebody else must be asked.

	leastPatienceMs = 250 // No daemon is given less than this to answer.
)

// deadlineMs is when a holder stops believing: validForMs is what the answer says, sentAtMs is t0.
func deadlineMs(sentAtMs, validForMs, ttlMs float64) float64 {
	return sentAtMs + validForMs*(1-clockRateError) - max(leastMarginMs, marginShare*ttlMs)
}

// state is what a holder may believe of a lease; the last two are for good.
type state int

const (
	pending  state = iota // Granted, but not yet confirmed by an answer that came in time.
	held                  // Nobody else holds the lock.
	lost                  // Past its deadline, or lost for the daemon: somebody else may hold the lock.
	released              // Given back by this holder.
)

type belief struct {
	ttlMs         float64
	endMs         float64 // The deadline; −Inf before the first confirmation.
	validUntilMs  float64 // When the lease ends by itself, as far as is known.
	confirmedAtMs float64 // t0 of the newest confirmation,
	lagMs         float64 // and how long that took.
	ended         state   // Lost or released, once it is.
}

func newBelief(ttlMs float64) belief {
	never := math.Inf(-1)
	return belief{ttlMs: ttlMs, endMs: never, validUntilMs: never, confirmedAtMs: never}
}

func (b *belief) state(nowMs float64) state {
	switch {
	case b.ended != pending:
		return b.ended
	case math.IsInf(b.endMs, -1):
		return pending
	case nowMs >= b.endMs:
		b.ended = lost // K2, K3
		return lost
	}
	return held
}

func (b *belief) isHeld(nowMs float64) bool { return b.state(nowMs) == held }

// confirm takes in an answer to the heartbeat that was sent at sentAtMs, and tells whether the end
// has moved.
func (b *belief) confirm(nowMs, sentAtMs, validForMs float64) bool {
	state := b.state(nowMs)
	if state == lost || state == released {
		return false // K2
	}
	b.validUntilMs = max(b.validUntilMs, sentAtMs+validForMs)
	endMs := deadlineMs(sentAtMs, validForMs, b.ttlMs)
	if endMs <= nowMs || endMs <= b.endMs {
		return false
	}
	if state == pending && endMs < nowMs+beginShare*deadlineMs(0, b.ttlMs, b.ttlMs) {
		return false // K9
	}
	b.confirmedAtMs = max(b.confirmedAtMs, sentAtMs)
	b.lagMs = nowMs - sentAtMs
	b.endMs = endMs
	return true
}

// end ends belief; what has ended stays as it ended.
func (b *belief) end(nowMs float64, how state) {
	if b.state(nowMs) != lost && b.ended == pending {
		b.ended = how
	}
}

// urgentAtMs is when a stream that was opened then must be left, because it has not confirmed this
// lease: with a quarter of the ttl left, and on a younger stream with half of what was left when it
// was opened; but not before the next confirmation could have come. +Inf when it is too late.
func (b *belief) urgentAtMs(nowMs, openedAtMs, periodMs float64) float64 {
	if !b.isHeld(nowMs) {
		return math.Inf(1)
	}
	atMs := max(
		b.endMs-urgentShare*b.ttlMs,
		(openedAtMs+b.endMs)/2,
		openedAtMs+leastPatienceMs,
		b.confirmedAtMs+periodMs+max(leastPatienceMs, 1.5*b.lagMs),
	)
	if atMs >= b.endMs {
		return math.Inf(1)
	}
	return atMs
}

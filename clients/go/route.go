package stormlock

import "math"

const (
	// How soon the next address is tried when all have failed: doubled from the first to the last.
	firstBackoffMs = 50
	lastBackoffMs  = 1000

	// With every address tried because none was of use (K10), the next move comes no sooner than
	// this after the one before; after a calm time all is as at the beginning.
	firstStayMs = 1000
	lastStayMs  = 60_000
	calmMs      = 2 * lastStayMs
)

// route knows which address a holder's next stream goes to, and when.
type route struct {
	addresses   int
	random      func() float64 // From 0 to 1: spreads the reconnects of many holders.
	turn        int
	failures    int
	connectAtMs float64
	moves       int
	movedAtMs   float64
}

func newRoute(addresses int, random func() float64) route {
	return route{addresses: addresses, random: random, connectAtMs: math.Inf(-1), movedAtMs: math.Inf(-1)}
}

func (r *route) address() int { return r.turn % r.addresses }

// rounds is how often all addresses have failed, one after the other.
func (r *route) rounds() int { return r.failures / r.addresses }

// mayMoveAtMs is when an address that answers may be left for the next one: never without another.
func (r *route) mayMoveAtMs() float64 {
	others := r.addresses - 1
	if others == 0 {
		return math.Inf(1)
	}
	if r.moves < others {
		return math.Inf(-1)
	}
	return r.movedAtMs + min(firstStayMs*math.Pow(2, float64(r.moves-others)), lastStayMs)
}

// move leaves an address that answers, because its answers are of no use.
func (r *route) move(nowMs float64) {
	if nowMs-r.movedAtMs >= calmMs {
		r.moves = 0
	}
	r.moves++
	r.movedAtMs = nowMs
	r.turn++
	r.connectAtMs = nowMs
}

// fail leaves an address that has failed. A round over all comes without a pause; the next waits.
func (r *route) fail(nowMs float64) {
	r.turn++
	r.failures++
	pauseMs := 0.0
	if r.failures%r.addresses == 0 {
		pauseMs = min(firstBackoffMs*math.Pow(2, float64(r.rounds()-1)), lastBackoffMs)
	}
	r.connectAtMs = nowMs + pauseMs*(0.5+r.random()/2)
}

// succeed is for when a daemon speaks. Only a stream that has lived for a while makes the failures
// before it forgotten: one that answers and then closes must not be asked in a hurry.
func (r *route) succeed(livedMs float64) {
	if livedMs >= lastBackoffMs {
		r.failures = 0
	}
}

package stormlock

import (
	"context"
	"math"

	pb "github.com/stormlock/stormlock/clients/go/stormlockv1"
)

const (
	// What a ttl is taken for until the daemon has told it: the daemons' own default.
	assumedTTLMs = 60_000
	// How soon something is said again that the daemon could not answer.
	retryMs = 250
	// How long a release, or the refusal of a wait that is over, may stay unanswered: long enough
	// for a daemon to be restarted.
	farewellMs = 5000
	// The same for a lease that nobody believes in, or never has: it ends by itself.
	shortFarewellMs = 1000
)

type phase int

const (
	asking    phase = iota // Not held yet.
	holding                // Granted, and believed or about to be.
	releasing              // Not believed in any more; the daemon is to end it.
	over
)

// standing is how a wait fares on the present stream.
type standing int

const (
	unknown standing = iota
	queued           // It stands in the queue of a daemon that knows who is before it.
	putOff           // The daemon cannot answer now: its store does not.
)

// wish is one wanted lock, from its first ask to its end. The keeper speaks and listens for it, and
// guards it: whoever touches a wish has the keeper's mutex.
type wish struct {
	settings
	resource string
	parent   context.Context // What the context of the lease comes from.

	leaseID     string
	sinceMs     float64
	untilMs     float64 // When the wait is over.
	phase       phase
	sayAtMs     float64 // When this phase's message is to be said on the present stream; +Inf when it is.
	said        int     // How often a daemon may have heard it.
	standing    standing
	hasQueued   bool   // A daemon has given it a place.
	trouble     string // Why a daemon could not answer.
	ttlMs       float64
	belief      belief
	releaseAtMs float64 // It is not released before.

	news    chan func()   // The newest call of OnQueued, until its caller has made it.
	decided chan struct{} // Closed when it is held, or will not be. Then these stay as they are:
	outcome error         // why it is not held; nil when it is,
	lease   *LeaseInfo
	ctx     context.Context
	cancel  context.CancelCauseFunc
	gone    chan struct{} // Closed when no daemon has anything to do with it any more. Then this stays:
	ending  error         // what the release met.
}

func newWish(ctx context.Context, resource string, settings settings, nowMs float64) *wish {
	w := &wish{
		settings: settings, resource: resource, parent: ctx, leaseID: NewLeaseID(),
		sinceMs: nowMs, untilMs: nowMs + settings.waitMs, sayAtMs: math.Inf(-1), ttlMs: assumedTTLMs,
		news: make(chan func(), 1), decided: make(chan struct{}), gone: make(chan struct{}),
	}
	if settings.ttl > 0 {
		w.ttlMs = millis(settings.ttl)
	}
	w.belief = newBelief(w.ttlMs)
	return w
}

// isWanted tells whether it is asked for or held, and not on its way out.
func (w *wish) isWanted() bool { return w.phase == asking || w.phase == holding }

// isOpen tells whether its caller still waits to hear.
func (w *wish) isOpen(nowMs float64) bool {
	return w.phase == asking || w.phase == holding && w.belief.state(nowMs) == pending
}

// giveUpAtMs: the daemon refuses a wait that is over by itself; this is for when it does not answer.
func (w *wish) giveUpAtMs() float64 { return w.untilMs + farewellMs }

// lookAtMs is when look has something to do next.
func (w *wish) lookAtMs(nowMs float64) float64 {
	switch {
	case w.phase == releasing:
		return w.farewellEndsMs()
	case w.phase == holding && w.belief.isHeld(nowMs):
		return w.belief.endMs
	}
	return math.Inf(1)
}

// speakAtMs is when there is something to say next, on a stream.
func (w *wish) speakAtMs() float64 {
	switch w.phase {
	case releasing:
		return max(w.sayAtMs, w.releaseAtMs)
	case over:
		return math.Inf(1)
	}
	return w.sayAtMs
}

// look does what time has brought.
func (w *wish) look(nowMs float64) {
	if w.phase == holding && w.belief.state(nowMs) == lost {
		w.lose("the lease of " + w.resource + " could not be renewed in time")
	}
	if w.phase == releasing && nowMs >= w.farewellEndsMs() {
		w.finish(&Error{Kind: ErrUnavailable, Message: "no daemon has confirmed the release of " +
			w.resource + ": it ends with its ttl at the latest"})
	}
}

func (w *wish) nextMessage(nowMs float64) *pb.HoldRequest {
	w.sayAtMs = math.Inf(1)
	w.said++
	switch w.phase {
	case asking:
		ask := &pb.HoldAcquire{
			Resource: w.resource, LeaseId: w.leaseID, Principal: w.principal,
			Ttl: w.wireTTL(), Reason: w.reason, Labels: w.labels,
		}
		if !math.IsInf(w.untilMs, 1) {
			ask.Wait = atLeast(max(0, w.untilMs-nowMs))
		}
		return &pb.HoldRequest{Kind: &pb.HoldRequest_Acquire{Acquire: ask}}
	case holding:
		resume := &pb.HoldResume{Resource: w.resource, LeaseId: w.leaseID}
		return &pb.HoldRequest{Kind: &pb.HoldRequest_Resume{Resume: resume}}
	}
	return releaseMessage(w.resource, w.leaseID)
}

func releaseMessage(resource, leaseID string) *pb.HoldRequest {
	release := &pb.HoldRelease{Resource: resource, LeaseId: leaseID}
	return &pb.HoldRequest{Kind: &pb.HoldRequest_Release{Release: release}}
}

// refuse: no daemon will have it, so the wait is over. What is held stays so until its deadline.
func (w *wish) refuse(nowMs float64, why error) {
	if !w.isOpen(nowMs) {
		return
	}
	w.decide(why)
	if w.phase == asking && w.said == 0 {
		w.finish(why)
	} else {
		w.toRelease(nowMs)
	}
}

// release stops believing (K6), and has the daemon told.
func (w *wish) release(nowMs float64) {
	w.refuse(nowMs, &Error{Kind: ErrClosed, Message: "the wait for " + w.resource +
		" was given up: this client is closed"})
	w.look(nowMs)
	w.belief.end(nowMs, released)
	if w.cancel != nil && w.belief.ended == released {
		w.cancel(ErrReleased)
	}
	if w.phase == holding || w.phase == releasing && w.releaseAtMs > nowMs {
		w.toRelease(nowMs)
	}
}

// lose tells of the loss, and releases no sooner than the lease would have ended by itself: by then
// the store may have given it to somebody else; until then it does not have to (K7).
func (w *wish) lose(why string) {
	w.cancel(&Error{Kind: ErrLost, Message: why})
	w.toRelease(w.belief.validUntilMs)
}

func (w *wish) toRelease(atMs float64) {
	w.enter(releasing)
	w.releaseAtMs = atMs
}

// enter begins a phase, in which there is something else to say.
func (w *wish) enter(phase phase) {
	w.phase = phase
	w.said = 0
	w.sayAtMs = math.Inf(-1)
}

func (w *wish) decide(outcome error) {
	if !isOver(w.decided) {
		w.outcome = outcome
		close(w.decided)
	}
}

func (w *wish) finish(ending error) {
	if w.phase == over {
		return
	}
	w.phase = over
	w.ending = ending
	if w.belief.ended == lost { // Whatever a daemon says of the release.
		w.ending = w.notHeld()
	}
	close(w.gone)
}

func (w *wish) notHeld() error {
	return &Error{Kind: ErrLost, Message: w.resource + " was not held any more when it was released"}
}

func (w *wish) farewellEndsMs() float64 {
	wasKept := w.belief.ended != lost && !math.IsInf(w.belief.endMs, -1)
	if wasKept {
		return w.releaseAtMs + farewellMs
	}
	return w.releaseAtMs + shortFarewellMs
}

package stormlock

import (
	"context"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	pb "github.com/stormlock/stormlock/clients/go/stormlockv1"
)

// The holder's side of Hold streams: any number of leases, one stream at a time, one timer.
// (What may be believed of a lease: belief.go.)
//
//	K4. An ack speaks of the leases that were granted on its own stream before it, no others.
//	K5. A broken stream is not a loss: every lease is resumed on the next address, until its
//	    deadline; every wait is asked for again with the same lease id.
//	K6. Who releases stops believing before the release is sent.
//	K7. The end of belief alone releases nothing before the lease would have ended anyway.
//	K8. A stream that leaves a heartbeat unanswered is left for the next address. What has arrived
//	    is read first, and who speaks is not silent: a busy daemon, or a pause of ours, is no end.
//	    Where all addresses are silent each gets twice the time in the next round.
//	K10. A stream that answers is left as well, while there is another address: when it does not
//	    confirm what is held and a quarter of the ttl is left, or when the daemon's store has no
//	    answer for one who asks and nobody stands in a queue there.
//
// Everything happens under one mutex, and nothing under it waits: it is changed by calls, by what
// is heard and by look, which does all that is due and is called after each change.

const (
	// Heartbeats: three chances within the shortest ttl, but a daemon's nonsense shall not make a
	// holder flood it.
	longestPeriodMs  = 15_000
	shortestPeriodMs = 100
	// A daemon that leaves a heartbeat unanswered for a period, or this long, is not there.
	longestSilenceMs  = 5000
	shortestSilenceMs = 250
	// How long what has arrived has to be read, before a stream is left (K8).
	settleMs = 20
	// More than this a daemon puts off for as long as there is no room, and that may be for ever.
	mostWanted = 10_000
	// Go's timers stand still while the machine is suspended: what is held is looked after this
	// often, so that a loss is told soon after.
	longestSleepMs = 1000
)

// openLink opens a Hold stream to one address. What comes of it is told by listener, from a
// goroutine of its own.
type openLink func(listener linkListener) link

type linkListener interface {
	heard(*pb.HoldResponse)
	closed(*Error)
}

type keeper struct {
	links      []openLink // One for each address, in the order of preference.
	nowMs      func() float64
	patienceMs float64

	mu           sync.Mutex
	wishes       map[string]*wish // By resource.
	route        route
	stream       *stream
	seq          uint64
	mustBeat     bool
	aloneSinceMs float64 // Since when nobody answers; +Inf while somebody does.
	lastFailure  *Error
	isClosed     bool

	wake chan struct{} // Something has changed: look.
	done chan struct{} // Closed with the keeper.
}

func newKeeper(links []openLink, nowMs, random func() float64, patienceMs float64) *keeper {
	return &keeper{
		links: links, nowMs: nowMs, patienceMs: patienceMs,
		wishes: map[string]*wish{}, route: newRoute(len(links), random), aloneSinceMs: math.Inf(1),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// run looks whenever something is due, until the keeper is closed.
func (k *keeper) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-k.done:
			return
		case <-k.wake:
		case <-timer.C:
		}
		k.mu.Lock()
		nowMs := k.nowMs()
		k.look(nowMs)
		sleepMs := k.nextMs(nowMs) - nowMs
		if len(k.wishes) > 0 {
			sleepMs = min(sleepMs, longestSleepMs)
		}
		k.mu.Unlock()
		// Rounded up, since a timer that is a little early finds nothing to do.
		timer.Reset(spanOf(max(sleepMs, 0) + 0.1))
	}
}

// lookSoon has run look.
func (k *keeper) lookSoon() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// hold takes a lock: it returns the wish once it is held, or why it cannot be had. One that is being
// released, or was lost, can be asked for again: the ask waits until the daemon has let it go.
func (k *keeper) hold(ctx context.Context, resource string, settings settings) (*wish, error) {
	askedAtMs := k.nowMs()
	for {
		w, earlier, err := k.add(ctx, resource, settings, askedAtMs)
		if err != nil {
			return nil, err
		}
		if w != nil {
			return k.await(ctx, w)
		}
		select {
		case <-earlier.gone:
		case <-ctx.Done():
			return nil, gaveUp(ctx, "the wait for "+resource)
		}
	}
}

// add makes a wish of it, unless there is an earlier one that has to be waited for.
func (k *keeper) add(
	ctx context.Context, resource string, settings settings, askedAtMs float64,
) (mine, earlier *wish, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.isClosed {
		return nil, nil, closedError()
	}
	if ctx.Err() != nil {
		return nil, nil, gaveUp(ctx, "the wait for "+resource)
	}
	nowMs := k.nowMs()
	if earlier := k.wishes[resource]; earlier != nil {
		earlier.look(nowMs)
		switch {
		case earlier.isWanted():
			return nil, nil, invalid("resource", resource+" is held or awaited by this client already")
		case earlier.phase != over:
			k.lookSoon()
			return nil, earlier, nil
		}
		k.forget(earlier)
	}
	if !k.hasRoom() {
		return nil, nil, &Error{Kind: ErrUnavailable, Message: resource + " was not asked for: this client holds or " +
			"awaits " + strconv.Itoa(mostWanted) + " locks, which is the limit; release some, or open another client"}
	}
	settings.waitMs = max(0, settings.waitMs-(nowMs-askedAtMs))
	mine = newWish(ctx, resource, settings, nowMs)
	k.wishes[resource] = mine
	k.lookSoon()
	return mine, nil, nil
}

func (k *keeper) hasRoom() bool {
	if len(k.wishes) < mostWanted {
		return true
	}
	wanted := 0
	for _, w := range k.wishes {
		if w.isWanted() {
			wanted++
		}
	}
	return wanted < mostWanted
}

// await returns w when it is held. Who queues is told of it in the caller's own goroutine.
func (k *keeper) await(ctx context.Context, w *wish) (*wish, error) {
	for {
		select {
		case <-w.decided:
			return w, w.outcome
		case call := <-w.news:
			k.callOut(w, call)
		case <-ctx.Done():
			k.mu.Lock()
			w.refuse(k.nowMs(), gaveUp(ctx, "the wait for "+w.resource))
			k.mu.Unlock()
			k.lookSoon()
			<-w.decided // It may have been granted in the same moment.
			return w, w.outcome
		}
	}
}

// callOut calls the caller's function. When that panics, nobody is there any more to release what may
// yet be granted.
func (k *keeper) callOut(w *wish, call func()) {
	hasReturned := false
	defer func() {
		if !hasReturned {
			k.release(w)
		}
	}()
	call()
	hasReturned = true
}

// release ends a wish. It does not wait for the daemon: w.gone tells.
func (k *keeper) release(w *wish) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w.release(k.nowMs())
	k.lookSoon()
}

// close releases everything, and waits for the answers as long as they can matter.
func (k *keeper) close() {
	k.mu.Lock()
	k.isClosed = true
	all := slices.Collect(maps.Values(k.wishes))
	for _, w := range all {
		w.release(k.nowMs())
	}
	k.mu.Unlock()
	k.lookSoon()
	for _, w := range all {
		<-w.gone
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.leaveStream()
	if !isOver(k.done) {
		close(k.done)
	}
}

package stormlock

import (
	"context"
	"time"
)

// Lease is a lock that is being kept.
type Lease struct {
	wish   *wish
	keeper *keeper
}

// Resource is what is locked.
func (l *Lease) Resource() string { return l.wish.resource }

// Token is the fencing token: send it along with every write to what the lock protects.
func (l *Lease) Token() uint64 { return l.wish.lease.Token }

// Info is the lease as it was granted.
func (l *Lease) Info() LeaseInfo { return *l.wish.lease }

// Held tells whether the lock is held now, by the clock and not by a timer: a program that was
// stopped for too long, or a machine that was suspended, finds the truth.
func (l *Lease) Held() bool { return l.Left() > 0 }

// Left is for how long nobody else can hold the lock, if no daemon is heard from any more. It grows
// again as the lease is kept, but not from 0: what is not held any more is lost for good.
func (l *Lease) Left() time.Duration {
	l.keeper.mu.Lock()
	defer l.keeper.mu.Unlock()
	nowMs := l.keeper.nowMs()
	l.wish.look(nowMs) // A loss that is found here is told as any other.
	if !l.wish.belief.isHeld(nowMs) {
		return 0
	}
	return spanOf(l.wish.belief.endMs - nowMs)
}

// Context is for the work under the lock. It comes from the context that Hold was given, and ends
// with the cause ErrLost when the lock is lost, with ErrReleased when it is released.
//
// It ends before anybody else can have the lock, unless its timer is late: by as long as the program
// is stopped, or the machine suspended, and up to a second after that. What must not happen without
// the lock asks Held right before, or has its token checked.
func (l *Lease) Context() context.Context { return l.wish.ctx }

// Release gives the lock back: Held is false from here on. It waits until a daemon has confirmed it,
// for a few seconds at the most; when ctx ends before, the release goes on without it. Nil means that
// the lease was held to the end, as far as can be known: after a release whose answer was lost
// nothing tells any more. ErrLost means that it was lost before, so others may have held the lock
// meanwhile; ErrUnavailable that no daemon has answered: the lease ends with its ttl at the latest.
func (l *Lease) Release(ctx context.Context) error {
	l.keeper.release(l.wish)
	select {
	case <-l.wish.gone:
	case <-ctx.Done():
	}
	if !isOver(l.wish.gone) {
		return &Error{
			Kind: ErrUnavailable, Cause: context.Cause(ctx),
			Message: "the release of " + l.wish.resource + " has not been confirmed yet",
		}
	}
	return l.wish.ending
}

package stormlock

import (
	"maps"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
)

// Option says how a lock is wanted.
type Option func(*settings)

type settings struct {
	ttl       time.Duration // 0 means the default of the daemon's policy.
	waitMs    float64       // +Inf means without limit.
	principal string
	reason    string
	labels    map[string]string
	leaseID   string
	onQueued  func(position int, holder *LeaseInfo)
	wrong     error
}

// TTL is how long the lease lives after its holder's last sign of life: the longest that others wait
// for a holder that is gone, and the longest pause that a holder survives. 1 second to 31 days unless
// the daemon's policy says otherwise; without it, that policy's default.
func TTL(ttl time.Duration) Option {
	return func(s *settings) {
		s.ttl = ttl
		if ttl <= 0 {
			s.wrong = invalid("ttl", "ttl "+ttl.String()+" is not more than 0; leave it out for the daemon's default")
		}
	}
}

// Wait is how long to wait for the lock at the most; 0 means not at all. Without it Hold waits until
// its context ends, and Acquire does not wait.
func Wait(wait time.Duration) Option {
	return func(s *settings) {
		s.waitMs = millis(wait)
		if wait < 0 {
			s.wrong = invalid("wait", "wait "+wait.String()+" is not 0 or more")
		}
	}
}

// Principal says who asks, in place of the client's own.
func Principal(principal string) Option { return func(s *settings) { s.principal = principal } }

// Reason says why, for those who find the lock held.
func Reason(reason string) Option { return func(s *settings) { s.reason = reason } }

// Labels are anything else worth showing with the lease.
func Labels(labels map[string]string) Option {
	// A stream may send them when Hold has long been given up, and the map is its caller's again.
	labels = maps.Clone(labels)
	return func(s *settings) { s.labels = labels }
}

// LeaseID is for an Acquire that asks again for a lease it may have got before: the id that was used
// then. Hold makes its own.
func LeaseID(id string) Option { return func(s *settings) { s.leaseID = id } }

// OnQueued is called by Hold, in its own goroutine, when the place in the queue or the holder has
// changed: position counts from 1 within one daemon, holder is nil when it is not known.
func OnQueued(call func(position int, holder *LeaseInfo)) Option {
	return func(s *settings) { s.onQueued = call }
}

func settingsOf(principal string, waitMs float64, options []Option) (settings, error) {
	s := settings{principal: principal, waitMs: waitMs}
	for _, set := range options {
		set(&s)
	}
	return s, s.wrong
}

// wireTTL is nil for the default of the daemon's policy.
func (s *settings) wireTTL() *durationpb.Duration {
	if s.ttl == 0 {
		return nil
	}
	return durationpb.New(s.ttl)
}

var forever = math.Inf(1)

package stormlock

import (
	"crypto/rand"
	"encoding/hex"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/stormlock/stormlock/clients/go/stormlockv1"
)

// LeaseInfo is one holding of one resource, as the store has it.
type LeaseInfo struct {
	// Resource is what is held.
	Resource string
	// LeaseID is the capability to renew and release the lease: who knows it, may. Empty where the
	// reader is not meant to have it.
	LeaseID string
	// Principal holds it: a label for people, or the identity that the daemon has proven.
	Principal string
	// Token is the fencing token: it only grows from one lease of a resource to the next. Send it
	// along with every write to what the lock protects, and let that refuse a lower one.
	Token uint64
	// Created and Expires are by the store's wall clock, for people.
	Created, Expires time.Time
	// TTL is how long the lease lives from its grant or its last renewal.
	TTL time.Duration
	// Reason says why it is held, in the holder's words.
	Reason string
	// Labels are anything else that the holder wanted to be seen.
	Labels map[string]string
}

// leaseInfo is nil for nil.
func leaseInfo(lease *pb.Lease) *LeaseInfo {
	if lease == nil {
		return nil
	}
	return &LeaseInfo{
		Resource:  lease.GetResource(),
		LeaseID:   lease.GetLeaseId(),
		Principal: lease.GetPrincipal(),
		Token:     lease.GetFencingToken(),
		Created:   lease.GetCreateTime().AsTime(),
		Expires:   lease.GetExpireTime().AsTime(),
		TTL:       lease.GetTtl().AsDuration(),
		Reason:    lease.GetReason(),
		Labels:    lease.GetLabels(),
	}
}

// NewLeaseID makes a lease id: 128 random bits, to be used for one lease alone.
func NewLeaseID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // Never fails, says its contract.
	return hex.EncodeToString(id[:])
}

func millis(duration time.Duration) float64 { return float64(duration) / float64(time.Millisecond) }

// spanOf is a duration of so many milliseconds, or the longest there is.
func spanOf(ms float64) time.Duration {
	if ms >= math.MaxInt64/float64(time.Millisecond) {
		return math.MaxInt64
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// atLeast is a duration for the wire, in whole milliseconds that are no fewer than asked for.
func atLeast(ms float64) *durationpb.Duration { return durationpb.New(spanOf(math.Ceil(ms))) }

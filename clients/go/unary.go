package stormlock

import (
	"context"
	"errors"
	"iter"
	"time"

	pb "github.com/stormlock/stormlock/clients/go/stormlockv1"
)

const (
	// How long a caller that gives up tries to take back what it may have been granted.
	farewell = 2 * time.Second
	// The share of the ttl that may pass in a queue before a renewal must make it whole again.
	waitedShare = 0.1
	pageSize    = 1000
)

// Grant is a lease that nobody keeps: it ends with its ttl unless it is renewed.
type Grant struct {
	LeaseInfo
	endMs float64
}

// Held tells whether nobody else can hold the lock now, by the clock.
func (g *Grant) Held() bool { return g.Left() > 0 }

// Left is for how long nobody else can hold the lock; 0 when that is over. It counts from before the
// question was sent.
func (g *Grant) Left() time.Duration { return spanOf(max(0, g.endMs-systemNowMs())) }

func newGrant(lease *pb.Lease, sentAtMs float64) (*Grant, *Error) {
	if lease == nil {
		return nil, &Error{Kind: ErrUnavailable, Message: "the daemon has answered without a lease"}
	}
	validForMs, ttlMs := millis(lease.GetValidFor().AsDuration()), millis(lease.GetTtl().AsDuration())
	return &Grant{LeaseInfo: *leaseInfo(lease), endMs: deadlineMs(sentAtMs, validForMs, ttlMs)}, nil
}

// Acquire takes the lock on a resource, once: nobody keeps the lease but who renews it. It waits as
// long as Wait says, which is not at all without it. Errors: ErrHeld with the holder where that is
// known, ErrInvalidField, ErrNotAllowed, ErrUnavailable; and ErrLost when LeaseID is that of a lease
// which has ended.
func (c *Client) Acquire(ctx context.Context, resource string, options ...Option) (*Grant, error) {
	settings, err := settingsOf(c.options.Principal, 0, options)
	if err != nil {
		return nil, err
	}
	a := &acquisition{
		settings: settings, resource: resource,
		untilMs: systemNowMs() + settings.waitMs, isOwnID: settings.leaseID == "",
	}
	if a.isOwnID {
		a.leaseID = NewLeaseID()
	}
	grant, err := ask(ctx, c, a.waitMs, a.attempt)
	if err == nil && a.waitMs > 0 {
		a.isUncertain = true // Until it has been handed out.
		grant, err = c.whole(ctx, grant)
	}
	if err != nil && a.isUncertain {
		c.takeBack(resource, a.leaseID)
	}
	return grant, err
}

// acquisition is an Acquire that is under way.
type acquisition struct {
	settings
	resource    string
	untilMs     float64
	isOwnID     bool // The lease id is not the caller's.
	isUncertain bool // The lease may have been granted, and nobody has heard of it.
}

func (a *acquisition) attempt(ctx context.Context, d *daemon, within time.Duration) (*Grant, *Error) {
	sentAtMs := systemNowMs()
	waitMs := max(0, a.untilMs-sentAtMs)
	request := &pb.AcquireRequest{
		Resource: a.resource, LeaseId: a.leaseID, Principal: a.principal,
		Ttl: a.wireTTL(), Wait: atLeast(waitMs), Reason: a.reason, Labels: a.labels,
	}
	answer, failure := callOne(ctx, d, spanOf(waitMs+millis(within)), pb.LockServiceClient.Acquire, request)
	switch {
	case failure == nil:
		return newGrant(answer.GetLease(), sentAtMs)
	case failure.Kind == ErrLost && a.isUncertain && a.isOwnID:
		// A first attempt was granted and has ended after its answer was lost. Nobody has believed in
		// that lease, so a new one is as good.
		a.leaseID, a.isUncertain = NewLeaseID(), false
		return nil, &Error{Kind: ErrUnavailable, Message: failure.Message, Cause: failure}
	case !failure.IsDefinite() && !failure.isUnheard && !failure.isOverloaded:
		a.isUncertain = true
	}
	return nil, failure
}

// whole renews a lease that was granted after a wait, unless hardly any of it is gone: time that was
// spent in the queue is spent.
func (c *Client) whole(ctx context.Context, grant *Grant) (*Grant, error) {
	ttlMs := millis(grant.TTL)
	if deadlineMs(systemNowMs(), ttlMs, ttlMs)-grant.endMs < waitedShare*ttlMs {
		return grant, nil
	}
	renewed, err := c.Renew(ctx, grant.Resource, grant.LeaseID)
	if errors.Is(err, ErrLost) { // Its answer took longer than it lived.
		return nil, &Error{Kind: ErrHeld, Message: err.Error(), Cause: err}
	}
	return renewed, err
}

// takeBack ends what an Acquire without a definite answer may have got. Best effort: what cannot be
// released ends with its ttl.
func (c *Client) takeBack(resource, leaseID string) {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	_, _ = c.Release(ctx, resource, leaseID)
}

// Renew makes a lease live for its ttl again from now, or for the one that TTL says. ErrLost: it does
// not hold the resource, or does no longer.
func (c *Client) Renew(ctx context.Context, resource, leaseID string, options ...Option) (*Grant, error) {
	settings, err := settingsOf("", 0, options)
	if err != nil {
		return nil, err
	}
	request := &pb.RenewRequest{Resource: resource, LeaseId: leaseID, Ttl: settings.wireTTL()}
	return ask(ctx, c, 0, func(ctx context.Context, d *daemon, within time.Duration) (*Grant, *Error) {
		sentAtMs := systemNowMs()
		answer, failure := callOne(ctx, d, within, pb.LockServiceClient.Renew, request)
		if failure != nil {
			return nil, failure
		}
		return newGrant(answer.GetLease(), sentAtMs)
	})
}

// ReleaseOutcome is what a release met. Either way the lease does not hold the resource now.
type ReleaseOutcome string

const (
	// WasReleased: the lease held the resource, and has been ended.
	WasReleased ReleaseOutcome = "released"
	// WasNotHeld: there was nothing to end.
	WasNotHeld ReleaseOutcome = "not held"
)

// Release ends a lease by its id; harmless when it has ended already.
func (c *Client) Release(ctx context.Context, resource, leaseID string) (ReleaseOutcome, error) {
	request := &pb.ReleaseRequest{Resource: resource, LeaseId: leaseID}
	answer, err := askFor(ctx, c, pb.LockServiceClient.Release, request)
	if err != nil {
		return "", err
	}
	if answer.GetOutcome() == pb.ReleaseOutcome_RELEASE_OUTCOME_RELEASED {
		return WasReleased, nil
	}
	return WasNotHeld, nil
}

// Current tells who holds a resource now; nil when nobody does.
func (c *Client) Current(ctx context.Context, resource string) (*LeaseInfo, error) {
	answer, err := askFor(ctx, c, pb.LockServiceClient.Current, &pb.CurrentRequest{Resource: resource})
	return leaseInfo(answer.GetLease()), err
}

// IsHeld tells whether this lease held its resource when the store was asked.
func (c *Client) IsHeld(ctx context.Context, resource, leaseID string) (bool, error) {
	request := &pb.IsHeldRequest{Resource: resource, LeaseId: leaseID}
	answer, err := askFor(ctx, c, pb.LockServiceClient.IsHeld, request)
	return answer.GetHeld(), err
}

// List goes through the leases that are held now on resources whose names begin with prefix, in the
// order of their names' bytes; an error is the last that comes. Lease ids are empty. What another
// program has put in the store where a lease should be is that error, after all that can be read.
func (c *Client) List(ctx context.Context, prefix string) iter.Seq2[*LeaseInfo, error] {
	return func(yield func(*LeaseInfo, error) bool) {
		request := &pb.ListRequest{Prefix: prefix, PageSize: pageSize}
		var unreadable []*pb.UnreadableResource
		for {
			page, err := askFor(ctx, c, pb.LockServiceClient.List, request)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, lease := range page.GetLeases() {
				if !yield(leaseInfo(lease), nil) {
					return
				}
			}
			unreadable = append(unreadable, page.GetUnreadable()...)
			if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
				break
			}
		}
		if len(unreadable) > 0 {
			yield(nil, &Error{Kind: ErrUnavailable, Message: unreadable[0].GetMessage()})
		}
	}
}

package stormlock

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	pb "github.com/stormlock/stormlock/clients/go/stormlockv1"
)

const (
	// How long one attempt may take at the most beyond its wait, before another address is tried.
	attemptMs = 5000
	// Who was refused because too many ask does not come back sooner than half of that.
	overloadedBackoffMs = 250
)

// method is a unary call, as pb.LockServiceClient.Renew is one.
type method[Request, Answer any] func(
	pb.LockServiceClient, context.Context, Request, ...grpc.CallOption,
) (Answer, error)

// ask asks one address after the other until there is a definite answer, always with the same lease
// id: that is safe. No address has more than its share of the patience that is left in a round, so
// that one which accepts and never answers does not use up the others' time.
func ask[Answer any](
	ctx context.Context, c *Client, waitMs float64,
	attempt func(ctx context.Context, d *daemon, within time.Duration) (Answer, *Error),
) (Answer, error) {
	var none Answer
	giveUpAtMs := systemNowMs() + waitMs + millis(c.options.Patience)
	backoffMs := float64(firstBackoffMs)
	for tries := 1; ; tries++ {
		if isOver(c.closed) {
			return none, closedError()
		}
		turn := c.preferred.Load()
		d := c.daemons[turn%uint64(len(c.daemons))]
		turnsLeft := len(c.daemons) - (tries-1)%len(c.daemons)
		withinMs := min(attemptMs, (giveUpAtMs-systemNowMs())/float64(turnsLeft))
		answer, failure := attempt(ctx, d, spanOf(withinMs))
		if failure != nil && failure.isOverloaded {
			backoffMs = max(backoffMs, overloadedBackoffMs)
		}
		switch {
		case failure == nil:
			return answer, nil
		case failure.IsDefinite() || failure.isFinal:
			return none, failure
		case ctx.Err() != nil:
			return none, gaveUp(ctx, "the call to "+d.address)
		case systemNowMs()+backoffMs >= giveUpAtMs:
			return none, failure
		}
		c.preferred.CompareAndSwap(turn, turn+1)
		// A round over all addresses comes without a pause; the next one waits, and not as long as
		// everybody else who has failed in the same moment.
		if tries%len(c.daemons) == 0 {
			select {
			case <-time.After(spanOf(backoffMs * (0.5 + rand.Float64()/2))):
			case <-ctx.Done():
				return none, gaveUp(ctx, "the call to "+d.address)
			case <-c.closed:
			}
			backoffMs = min(2*backoffMs, lastBackoffMs)
		}
	}
}

// askFor is ask for a call that does not wait.
func askFor[Request, Answer any](
	ctx context.Context, c *Client, call method[Request, Answer], request Request,
) (Answer, error) {
	return ask(ctx, c, 0, func(ctx context.Context, d *daemon, within time.Duration) (Answer, *Error) {
		return callOne(ctx, d, within, call, request)
	})
}

// callOne makes one call to one daemon.
func callOne[Request, Answer any](
	ctx context.Context, d *daemon, within time.Duration, call method[Request, Answer], request Request,
) (Answer, *Error) {
	timed, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var reached peer.Peer
	answer, err := call(d.calls, timed, request, grpc.Peer(&reached))
	if err != nil {
		return answer, fromStatus(err, d.address, reached.Addr == nil)
	}
	return answer, nil
}

package stormlock_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	stormlock "github.com/stormlock/stormlock/clients/go"
)

// These need a daemon: clients/go/library.test.ts starts one.

func connect(t *testing.T, principal string) *stormlock.Client {
	t.Helper()
	address := os.Getenv("STORMLOCK_TEST_SERVER")
	if address == "" {
		t.Skip("STORMLOCK_TEST_SERVER has no daemon's address")
	}
	client, err := stormlock.Connect(stormlock.Options{Servers: []string{address}, Principal: principal})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %v, expected %v", what, got, want)
	}
}

func TestAFreeLockIsGrantedOnceAndReleased(t *testing.T) {
	ann, bob, ctx := connect(t, "ann"), connect(t, "bob"), within(t)
	grant := must[*stormlock.Grant](t)(ann.Acquire(ctx, "unary", stormlock.TTL(time.Minute),
		stormlock.Reason("a test"), stormlock.Labels(map[string]string{"team": "a"})))
	if left := grant.Left(); left < 50*time.Second || left > 56400*time.Millisecond {
		t.Fatalf("%v are left of a minute", left)
	}
	again := must[*stormlock.Grant](t)(ann.Acquire(ctx, "unary", stormlock.LeaseID(grant.LeaseID)))
	expect(t, "the token of the same lease", again.Token, grant.Token)

	_, err := bob.Acquire(ctx, "unary")
	var refused *stormlock.Error
	if !errors.Is(err, stormlock.ErrHeld) || !errors.As(err, &refused) || refused.Holder == nil {
		t.Fatalf("refused with %v", err)
	}
	expect(t, "the holder", refused.Holder.Principal, "ann")
	expect(t, "the holder's lease id", refused.Holder.LeaseID, "")
	expect(t, "the holder's reason", refused.Holder.Reason, "a test")

	expect(t, "held", must[bool](t)(bob.IsHeld(ctx, "unary", grant.LeaseID)), true)
	expect(t, "current", must[*stormlock.LeaseInfo](t)(bob.Current(ctx, "unary")).Labels["team"], "a")
	renewed := must[*stormlock.Grant](t)(ann.Renew(ctx, "unary", grant.LeaseID, stormlock.TTL(2*time.Minute)))
	expect(t, "the token after a renewal", renewed.Token, grant.Token)
	expect(t, "the ttl after a renewal", renewed.TTL, 2*time.Minute)

	release := must[stormlock.ReleaseOutcome](t)
	expect(t, "a release", release(ann.Release(ctx, "unary", grant.LeaseID)), stormlock.WasReleased)
	expect(t, "a repeated one", release(ann.Release(ctx, "unary", grant.LeaseID)), stormlock.WasNotHeld)
	expect(t, "current", must[*stormlock.LeaseInfo](t)(bob.Current(ctx, "unary")), nil)
	if _, err := ann.Renew(ctx, "unary", grant.LeaseID); !errors.Is(err, stormlock.ErrLost) {
		t.Fatalf("renewed: %v", err)
	}
}

func TestAWaitIsGrantedWithAWholeTTLOrTellsWhoHasIt(t *testing.T) {
	ann, bob, ctx := connect(t, "ann"), connect(t, "bob"), within(t)
	first := must[*stormlock.Grant](t)(ann.Acquire(ctx, "wait", stormlock.TTL(2*time.Second)))
	_, err := bob.Acquire(ctx, "wait", stormlock.Wait(200*time.Millisecond))
	if !errors.Is(err, stormlock.ErrHeld) {
		t.Fatalf("waited, and got %v", err)
	}
	second := must[*stormlock.Grant](t)(bob.Acquire(ctx, "wait", stormlock.Wait(20*time.Second),
		stormlock.TTL(10*time.Second)))
	if second.Token <= first.Token || first.Held() || second.Left() < 8*time.Second {
		t.Fatalf("token %d after %d, %v left", second.Token, first.Token, second.Left())
	}
}

func TestAllLeasesOfAPrefixAreListed(t *testing.T) {
	ann, ctx := connect(t, "ann"), within(t)
	for n := range 5 {
		must[*stormlock.Grant](t)(ann.Acquire(ctx, fmt.Sprintf("list/%d", n)))
	}
	var names []string
	for lease, err := range ann.List(ctx, "list/") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, lease.Resource)
	}
	expect(t, "names", fmt.Sprint(names), "[list/0 list/1 list/2 list/3 list/4]")
}

func TestAMistakeIsSaidAtOnceWithItsField(t *testing.T) {
	ann, ctx := connect(t, "ann"), within(t)
	_, unaryErr := ann.Acquire(ctx, "mistake", stormlock.TTL(time.Millisecond))
	_, holdErr := ann.Hold(ctx, "mistake", stormlock.TTL(time.Millisecond))
	_, ownErr := ann.Hold(ctx, "mistake", stormlock.TTL(-time.Second))
	for _, err := range []error{unaryErr, holdErr, ownErr} {
		if !errors.Is(err, stormlock.ErrInvalidField) {
			t.Fatalf("told %v", err)
		}
	}
	var wrong *stormlock.Error
	if errors.As(unaryErr, &wrong); wrong.Field != "ttl" {
		t.Fatalf("the field is %q", wrong.Field)
	}
}

func TestALeaseEndsItsContextWithTheReason(t *testing.T) {
	ann, ctx := connect(t, "ann"), within(t)
	lease := must[*stormlock.Lease](t)(ann.Hold(ctx, "context", stormlock.TTL(3*time.Second)))
	expect(t, "held", lease.Held(), true)
	if _, err := ann.Hold(ctx, "context"); !errors.Is(err, stormlock.ErrInvalidField) {
		t.Fatalf("held twice: %v", err)
	}
	if err := lease.Release(ctx); err != nil {
		t.Fatal(err)
	}
	expect(t, "held after its release", lease.Held(), false)
	expect(t, "cause", context.Cause(lease.Context()), stormlock.ErrReleased)

	again := must[*stormlock.Lease](t)(ann.Hold(ctx, "context", stormlock.TTL(3*time.Second)))
	must[stormlock.ReleaseOutcome](t)(ann.Release(ctx, "context", again.Info().LeaseID))
	<-again.Context().Done()
	if cause := context.Cause(again.Context()); !errors.Is(cause, stormlock.ErrLost) {
		t.Fatalf("the cause is %v", cause)
	}
	if err := again.Release(ctx); !errors.Is(err, stormlock.ErrLost) {
		t.Fatalf("released what was lost: %v", err)
	}
}

func TestWhoWaitsIsToldOfTheQueueAndCanGiveUp(t *testing.T) {
	ann, bob, ctx := connect(t, "ann"), connect(t, "bob"), within(t)
	lease := must[*stormlock.Lease](t)(ann.Hold(ctx, "queue"))
	waiting, giveUp := context.WithCancel(ctx)
	holder := ""
	_, err := bob.Hold(waiting, "queue", stormlock.OnQueued(func(position int, by *stormlock.LeaseInfo) {
		if by != nil {
			holder = fmt.Sprint(position, by.Principal)
			giveUp()
		}
	}))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("gave up, and got %v", err)
	}
	expect(t, "the place in the queue", holder, "1ann")
	if err := lease.Release(ctx); err != nil {
		t.Fatal(err)
	}
	// Who has given up takes nothing from the next one.
	must[*stormlock.Lease](t)(ann.Hold(ctx, "queue", stormlock.Wait(10*time.Second)))
}

func TestAClosedClientHasReleasedAllAndLeavesNothingRunning(t *testing.T) {
	bob, ctx := connect(t, "bob"), within(t)
	must[*stormlock.Grant](t)(bob.Acquire(ctx, "warm"))
	before := runtime.NumGoroutine()
	ann := connect(t, "ann")
	for n := range 20 {
		must[*stormlock.Lease](t)(ann.Hold(ctx, fmt.Sprintf("close/%d", n)))
	}
	if err := ann.Close(); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		if lease := must[*stormlock.LeaseInfo](t)(bob.Current(ctx, fmt.Sprintf("close/%d", n))); lease != nil {
			t.Fatalf("%s is still held", lease.Resource)
		}
	}
	for range 500 { // gRPC's own goroutines take a moment to end.
		if runtime.NumGoroutine() <= before {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Fatalf("%d goroutines were left", after-before)
	}
	if _, err := ann.Hold(ctx, "close/0"); !errors.Is(err, stormlock.ErrClosed) {
		t.Fatalf("held by a closed client: %v", err)
	}
	if _, err := ann.Current(ctx, "close/0"); !errors.Is(err, stormlock.ErrClosed) {
		t.Fatalf("asked by a closed client: %v", err)
	}
}

func TestWithACertificateItIsHeldAsWhoThatSays(t *testing.T) {
	address, folder := os.Getenv("STORMLOCK_TEST_TLS_SERVER"), os.Getenv("STORMLOCK_TEST_CERTIFICATES")
	if address == "" {
		t.Skip("STORMLOCK_TEST_TLS_SERVER has no daemon's address")
	}
	ctx, file := within(t), func(name string) string { return filepath.Join(folder, name) }
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(must[[]byte](t)(os.ReadFile(file("ca.pem"))))
	own := must[tls.Certificate](t)(tls.LoadX509KeyPair(file("ann.pem"), file("ann.key")))
	config := &tls.Config{RootCAs: trusted, Certificates: []tls.Certificate{own}}
	ann := must[*stormlock.Client](t)(stormlock.Connect(stormlock.Options{
		Servers: []string{address}, Principal: "the king", TLS: config,
	}))
	defer ann.Close()
	lease := must[*stormlock.Lease](t)(ann.Hold(ctx, "tls"))
	expect(t, "the principal", lease.Info().Principal, "spiffe://example/ann")

	plain := must[*stormlock.Client](t)(stormlock.Connect(stormlock.Options{
		Servers: []string{address}, Patience: time.Second,
	}))
	defer plain.Close()
	if _, err := plain.Hold(ctx, "tls"); !errors.Is(err, stormlock.ErrUnavailable) {
		t.Fatalf("held without a certificate: %v", err)
	}
}

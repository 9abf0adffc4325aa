package stormlock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"
)

// What comes of calls when no daemon is of use.

// nowhere is an address that refuses all connections.
const nowhere = "127.0.0.1:1"

func clientOf(t *testing.T, servers ...string) *Client {
	t.Helper()
	client, err := Connect(Options{Servers: servers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// silent is an address where connections are taken, by the system alone, and nobody speaks.
func silent(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

// expectGoroutines waits until no more are left than there were: gRPC's own take a moment to end.
func expectGoroutines(t *testing.T, before int) {
	t.Helper()
	for range 500 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	stacks := make([]byte, 1<<16)
	stacks = stacks[:runtime.Stack(stacks, true)]
	t.Fatalf("%d goroutines were left: %s", runtime.NumGoroutine()-before, stacks)
}

func TestNothingIsLeftRunningWhereNobodyAnswers(t *testing.T) {
	servers := []string{silent(t), nowhere, silent(t)}
	before := runtime.NumGoroutine()
	client := clientOf(t, servers...)
	for range 3 {
		ctx, stop := context.WithTimeout(context.Background(), 400*time.Millisecond)
		if _, err := client.Hold(ctx, "r"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("told %v", err)
		}
		stop()
	}
	began := time.Now()
	_ = client.Close()
	if took := time.Since(began); took > 4*time.Second {
		t.Fatalf("it took %v to close", took)
	}
	expectGoroutines(t, before)
}

func TestAWaitIsGrantedByTheDaemonThatComesBackHoweverLateThatIs(t *testing.T) {
	const patience = 300 * time.Millisecond
	address, stop := (&standIn{hold: holdStream(false, 1000)}).serveAt(t, "127.0.0.1:0")
	client, err := Connect(Options{Servers: []string{address}, Patience: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var back sync.Once
	lease, err := client.Hold(context.Background(), "r", OnQueued(func(int, *LeaseInfo) {
		back.Do(func() {
			stop()
			time.Sleep(4 * patience)
			(&standIn{hold: holdStream(true, 1000)}).serveAt(t, address)
		})
	}))
	if err != nil || !lease.Held() {
		t.Fatalf("not held: %v", err)
	}
}

func TestAWaitWhoseClientIsClosedIsToldSo(t *testing.T) {
	client := clientOf(t, (&standIn{hold: holdStream(false, 1000)}).serve(t))
	_, err := client.Hold(context.Background(), "r", OnQueued(func(int, *LeaseInfo) {
		var closing sync.WaitGroup
		for range 2 {
			closing.Add(1)
			go func() {
				defer closing.Done()
				_ = client.Close()
			}()
		}
		closing.Wait()
	}))
	if !errors.Is(err, ErrClosed) {
		t.Fatalf("told %v", err)
	}
}

func TestManyGoroutinesShareAClientWhoseStreamsAreCut(t *testing.T) {
	daemon := &standIn{hold: holdStream(true, 80)}
	address := daemon.serve(t)
	before := runtime.NumGoroutine()
	client := clientOf(t, address)
	var users sync.WaitGroup
	for user := range 8 {
		users.Add(1)
		go func() {
			defer users.Done()
			for round := range 20 {
				use(t, client, fmt.Sprint("r", user), round)
			}
		}()
	}
	users.Wait()
	held, err := client.Hold(context.Background(), "left")
	if err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
	if held.Held() || !errors.Is(context.Cause(held.Context()), ErrReleased) {
		t.Fatal("it is held by a client that is closed")
	}
	expectGoroutines(t, before)
}

// use takes a lock, or gives up in the midst of that, and gives it back.
func use(t *testing.T, client *Client, resource string, round int) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if round%4 == 3 {
		time.AfterFunc(time.Duration(round)*time.Millisecond/2, stop)
	}
	lease, err := client.Hold(ctx, resource)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("not held: %v", err)
		}
		return
	}
	other := make(chan bool)
	go func() { other <- lease.Held() && lease.Left() > 0 && lease.Info().Token == 7 }()
	if !<-other {
		t.Errorf("%s is not held", resource)
	}
	if err := lease.Release(context.Background()); err != nil {
		t.Errorf("the release: %v", err)
	}
	if lease.Held() || context.Cause(lease.Context()) == nil {
		t.Errorf("%s is held after its release", resource)
	}
}

func TestWhoGivesACallUpIsToldSoWheneverThatIs(t *testing.T) {
	client, mine := clientOf(t, nowhere), errors.New("my own reason")
	// Some of these moments are in a pause between two attempts.
	for _, after := range []time.Duration{0, 20 * time.Millisecond, 120 * time.Millisecond, 300 * time.Millisecond} {
		ctx, giveUp := context.WithCancelCause(context.Background())
		time.AfterFunc(after, func() { giveUp(mine) })
		if _, err := client.Current(ctx, "r"); !errors.Is(err, mine) || !errors.Is(err, ErrUnavailable) {
			t.Fatalf("given up after %v, and told %v", after, err)
		}
	}
}

func TestACallThatIsUnderWayWhenItsClientIsClosedIsToldSo(t *testing.T) {
	client, told := clientOf(t, nowhere), make(chan error, 1)
	go func() {
		_, err := client.Current(context.Background(), "r")
		told <- err
	}()
	time.Sleep(100 * time.Millisecond)
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-told:
		if !errors.Is(err, ErrClosed) {
			t.Fatalf("told %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it goes on")
	}
}

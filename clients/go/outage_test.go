package stormlock

import (
	"context"
	"errors"
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

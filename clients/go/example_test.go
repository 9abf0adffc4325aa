package stormlock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	stormlock "github.com/stormlock/stormlock/clients/go"
)

// From nothing to a held lock, and back.
func Example() {
	ctx := context.Background()
	client, err := stormlock.Connect(stormlock.Options{Servers: []string{"127.0.0.1:7420"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	lease, err := client.Hold(ctx, "deploy", stormlock.TTL(30*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Release(ctx)
	deploy(lease.Context(), lease.Token())
}

// Whoever does not want to wait for long is told who is in the way.
func ExampleClient_Hold() {
	ctx := context.Background()
	client, err := stormlock.Connect(stormlock.Options{Servers: []string{"127.0.0.1:7420"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	lease, err := client.Hold(ctx, "deploy", stormlock.Wait(5*time.Second))
	var refused *stormlock.Error
	if errors.Is(err, stormlock.ErrHeld) && errors.As(err, &refused) && refused.Holder != nil {
		fmt.Println("not now:", refused.Holder.Principal, "deploys")
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	deploy(lease.Context(), lease.Token())
	if err := lease.Release(ctx); errors.Is(err, stormlock.ErrLost) {
		fmt.Println("others may have deployed at the same time:", context.Cause(lease.Context()))
	}
}

// deploy ends when its context does, and sends the token along with what it writes.
func deploy(ctx context.Context, token uint64) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
		fmt.Println("deployed with", token)
	}
}

// The actor of the Go library. (README.md in the folder above.)
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	stormlock "github.com/stormlock/stormlock/clients/go"
)

type order struct {
	Do       string
	Resource string
	TTLMs    int64
	WaitMs   int64
}

type actor struct {
	client *stormlock.Client
	mu     sync.Mutex // Over all below, and stdout.
	leases map[string]*stormlock.Lease
	out    *json.Encoder
}

func main() {
	client, err := stormlock.Connect(stormlock.Options{
		Servers: strings.Split(os.Args[1], ","), Principal: os.Args[2],
	})
	if err != nil {
		panic(err)
	}
	a := &actor{client: client, leases: map[string]*stormlock.Lease{}, out: json.NewEncoder(os.Stdout)}
	go a.tell(every())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var order order
		if err := json.Unmarshal(lines.Bytes(), &order); err != nil {
			panic(err)
		}
		if order.Do == "hold" {
			go a.hold(order)
		} else {
			go a.release(order.Resource)
		}
	}
	_ = client.Close()
}

func (a *actor) hold(order order) {
	lease, err := a.client.Hold(context.Background(), order.Resource,
		stormlock.TTL(time.Duration(order.TTLMs)*time.Millisecond),
		stormlock.Wait(time.Duration(order.WaitMs)*time.Millisecond))
	var failure *stormlock.Error
	switch {
	case errors.Is(err, stormlock.ErrHeld) && errors.As(err, &failure) && failure.Holder != nil:
		a.say("refused", order.Resource, "principal", failure.Holder.Principal)
		return
	case err != nil:
		a.say("failed", order.Resource, "why", err.Error())
		return
	}
	a.mu.Lock()
	a.leases[order.Resource] = lease
	a.mu.Unlock()
	a.say("granted", order.Resource, "token", strconv.FormatUint(lease.Token(), 10))
	<-lease.Context().Done()
	if errors.Is(context.Cause(lease.Context()), stormlock.ErrLost) {
		a.say("lost", order.Resource)
	}
}

func (a *actor) release(resource string) {
	a.mu.Lock()
	lease := a.leases[resource]
	a.mu.Unlock()
	wasKept := lease != nil && !errors.Is(lease.Release(context.Background()), stormlock.ErrLost)
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.out.Encode(map[string]any{"says": "released", "resource": resource, "wasKept": wasKept})
}

// tell tells of what the library says is held now.
func (a *actor) tell(every time.Duration) {
	for range time.Tick(every) {
		a.mu.Lock()
		for resource, lease := range a.leases {
			atMs := hostMs()
			if lease.Held() {
				_ = a.out.Encode(map[string]any{"says": "held", "resource": resource, "atMs": atMs})
			}
		}
		a.mu.Unlock()
	}
}

func (a *actor) say(says, resource string, more ...string) {
	words := map[string]string{"says": says, "resource": resource}
	for n := 0; n+1 < len(more); n += 2 {
		words[more[n]] = more[n+1]
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.out.Encode(words)
}

// every is how often it is told what is held.
func every() time.Duration {
	if len(os.Args) <= 3 {
		return 10 * time.Millisecond
	}
	ms, err := strconv.Atoi(os.Args[3])
	if err != nil {
		panic(err)
	}
	return time.Duration(ms) * time.Millisecond
}

func hostMs() float64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err)
	}
	return float64(now.Sec)*1e3 + float64(now.Nsec)/1e6
}

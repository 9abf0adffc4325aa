// Package stormlock takes named locks from Stormlock daemons and keeps them.
//
// A lock is held by a lease, which lives for its ttl and is kept alive while its holder works. A
// client keeps any number of leases by one stream to whichever of its daemons answers; when that one
// goes away the leases are carried on at the next, with the same fencing tokens. A holder that cannot
// keep a lease stops believing in it before anybody else can have the lock: Lease.Held says no, and
// the lease's context ends, with the cause ErrLost. That is final.
package stormlock

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const defaultPatience = 10 * time.Second

// Options say which daemons a client talks to, and how.
type Options struct {
	// Servers are the daemons, in the order of preference: HOST, HOST:PORT, [IPV6]:PORT or
	// unix:/PATH; the port is 7420 if none is given. All of them must have the same store.
	Servers []string
	// Principal says who asks, unless an option of a call does.
	Principal string
	// TLS is how to speak TLS; nil means plaintext. Daemons that listen beyond their own machine
	// want a client certificate.
	TLS *tls.Config
	// Patience is how long to go on asking when there is no definite answer; 0 means 10 s. A Hold that
	// has stood in a queue has the patience of its wait.
	Patience time.Duration
}

// Client is a client of one or more daemons of one store, for any number of goroutines.
type Client struct {
	options   Options
	daemons   []*daemon
	keeper    *keeper
	running   sync.WaitGroup
	preferred atomic.Uint64 // Who has answered last is asked first.
	closed    chan struct{}
	closing   sync.Once
}

// Connect makes a client. It connects with the first call, and to the next daemon when one does not
// answer, so that an error means options that are no good (ErrInvalidField).
func Connect(options Options) (*Client, error) {
	if len(options.Servers) == 0 {
		return nil, invalid("servers", "no server address is given")
	}
	if options.Patience == 0 {
		options.Patience = defaultPatience
	}
	c := &Client{options: options, closed: make(chan struct{})}
	var links []openLink
	for _, address := range options.Servers {
		d, err := newDaemon(address, options.TLS)
		if err != nil {
			c.disconnect()
			return nil, err
		}
		c.daemons = append(c.daemons, d)
		links = append(links, func(listener linkListener) link { return d.openHold(listener, &c.running) })
	}
	c.keeper = newKeeper(links, systemNowMs, rand.Float64, millis(options.Patience))
	c.running.Add(1)
	go func() {
		defer c.running.Done()
		c.keeper.run()
	}()
	return c, nil
}

// Hold takes the lock on a resource and keeps it until the lease is released or lost. It waits until
// ctx ends, or as long as Wait says; whoever is in the way then is in the error (ErrHeld). A daemon
// that goes ends no wait which has stood in its queue. The context of the lease comes from ctx, so
// whatever ends ctx ends the work; the lease itself is kept until Release.
//
// A client holds or awaits a resource once.
func (c *Client) Hold(ctx context.Context, resource string, options ...Option) (*Lease, error) {
	settings, err := settingsOf(c.options.Principal, forever, options)
	if err != nil {
		return nil, err
	}
	w, err := c.keeper.hold(ctx, resource, settings)
	if err != nil {
		return nil, err
	}
	return &Lease{wish: w, keeper: c.keeper}, nil
}

// Close releases all that is held by Hold, for a few seconds if no daemon answers, and closes the
// connections. What is being asked meanwhile ends with ErrClosed.
func (c *Client) Close() error {
	c.closing.Do(func() { close(c.closed) })
	c.keeper.close()
	c.running.Wait()
	c.disconnect()
	return nil
}

func isOver(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

func (c *Client) disconnect() {
	for _, d := range c.daemons {
		_ = d.conn.Close()
	}
}

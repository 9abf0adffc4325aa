package stormlock

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"

	pb "github.com/stormlock/stormlock/clients/go/stormlockv1"
)

// How long a daemon has to take in the last words before a stream is cut off.
const lastWordsWithin = time.Second

// holdLink is a Hold stream to one daemon, on a connection of its own: what is said goes into a
// queue, so that nobody waits for a network. The queue is short, since a daemon that leaves a
// heartbeat unanswered is left.
type holdLink struct {
	listener linkListener
	cancel   context.CancelFunc

	mu       sync.Mutex
	toSay    []*pb.HoldRequest
	isClosed bool
	changed  chan struct{}
}

// openHold opens a stream; running counts its goroutines.
func (d *daemon) openHold(listener linkListener, running *sync.WaitGroup) link {
	ctx, cancel := context.WithCancel(context.Background())
	l := &holdLink{listener: listener, cancel: cancel, changed: make(chan struct{}, 1)}
	running.Add(1)
	go func() {
		defer running.Done()
		defer cancel()
		listener.closed(l.run(ctx, d))
	}()
	return l
}

func (l *holdLink) say(message *pb.HoldRequest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.toSay = append(l.toSay, message)
	l.tell()
}

func (l *holdLink) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isClosed {
		l.isClosed = true
		l.tell()
		time.AfterFunc(lastWordsWithin, l.cancel)
	}
}

func (l *holdLink) tell() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// run lives as long as the stream, and returns why it has ended.
func (l *holdLink) run(ctx context.Context, d *daemon) *Error {
	conn, err := d.dial()
	if err != nil {
		return &Error{Kind: ErrUnavailable, Message: d.address + ": " + err.Error(), isUnheard: true}
	}
	defer conn.Close()
	// No message is sent before the stream is there.
	stream, err := pb.NewLockServiceClient(conn).Hold(ctx)
	if err != nil {
		return fromStatus(err, d.address, true)
	}
	var sender sync.WaitGroup
	sender.Add(1)
	go func() {
		defer sender.Done()
		l.send(stream)
	}()
	defer sender.Wait()
	defer l.cancel()
	for {
		message, err := stream.Recv()
		if err != nil {
			return fromStatus(err, d.address, false)
		}
		l.listener.heard(message)
	}
}

// send says what is in the queue, until the stream ends or has been closed.
func (l *holdLink) send(stream grpc.BidiStreamingClient[pb.HoldRequest, pb.HoldResponse]) {
	for {
		select {
		case <-stream.Context().Done():
			return
		case <-l.changed:
		}
		l.mu.Lock()
		messages, isClosed := l.toSay, l.isClosed
		l.toSay = nil
		l.mu.Unlock()
		for _, message := range messages {
			if stream.Send(message) != nil {
				return // Recv tells why.
			}
		}
		if isClosed {
			_ = stream.CloseSend()
			return
		}
	}
}

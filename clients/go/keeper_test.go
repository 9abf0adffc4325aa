package stormlock

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/stormlock/stormlock/clients/go/stormlockv1"
)

// A keeper on a clock that the test moves, and links that write down what is said.

type desk struct {
	*testing.T
	nowMs float64
	k     *keeper
	links []*paperLink
	// What becomes of every stream while time passes, if anything.
	refusal *Error
}

type paperLink struct {
	linkListener
	address  int
	said     []*pb.HoldRequest
	isClosed bool
}

func (l *paperLink) say(message *pb.HoldRequest) { l.said = append(l.said, message) }
func (l *paperLink) close()                      { l.isClosed = true }

func newDesk(t *testing.T, addresses int) *desk {
	d := &desk{T: t}
	var opens []openLink
	for address := range addresses {
		opens = append(opens, func(listener linkListener) link {
			l := &paperLink{linkListener: listener, address: address}
			d.links = append(d.links, l)
			return l
		})
	}
	d.k = newKeeper(opens, func() float64 { return d.nowMs }, func() float64 { return 1 }, 10_000)
	return d
}

func (d *desk) hold(resource string, options ...Option) *wish {
	d.Helper()
	settings, err := settingsOf("ann", forever, append([]Option{TTL(3 * time.Second)}, options...))
	if err != nil {
		d.Fatal(err)
	}
	w, _, err := d.k.add(context.Background(), resource, settings, d.nowMs)
	if w == nil {
		d.Fatalf("%s cannot be asked for: %v", resource, err)
	}
	d.k.look(d.nowMs)
	return w
}

// pass lets time pass, and the keeper look whenever it wants to.
func (d *desk) pass(ms float64) {
	d.Helper()
	untilMs := d.nowMs + ms
	for range 10_000 {
		if d.refusal != nil && !d.link().isClosed {
			d.link().closed(d.refusal)
		}
		d.k.look(d.nowMs)
		nextMs := max(d.k.nextMs(d.nowMs), d.nowMs)
		if nextMs > untilMs {
			d.nowMs = untilMs
			return
		}
		if nextMs == d.nowMs {
			nextMs += 0.1
		}
		d.nowMs = nextMs
	}
	d.Fatal("the keeper does not come to rest")
}

func (d *desk) link() *paperLink { return d.links[len(d.links)-1] }

func (d *desk) hear(message *pb.HoldResponse) {
	d.link().heard(message)
	d.k.look(d.nowMs)
}

func (d *desk) grant(w *wish, seq uint64) {
	lease := &pb.Lease{
		Resource: w.resource, LeaseId: w.leaseID, FencingToken: 7, Ttl: durationpb.New(w.ttl),
	}
	granted := &pb.Granted{Lease: lease, Seq: seq, ValidFor: durationpb.New(w.ttl)}
	d.hear(&pb.HoldResponse{Kind: &pb.HoldResponse_Granted{Granted: granted}})
}

func (d *desk) ack(seq uint64) {
	ack := &pb.HeartbeatAck{Seq: seq, ValidShare: 1}
	d.hear(&pb.HoldResponse{Kind: &pb.HoldResponse_HeartbeatAck{HeartbeatAck: ack}})
}

// queue tells of a place in a queue.
func (d *desk) queue(resource string) {
	queued := &pb.Queued{Resource: resource, Position: 1, Ttl: durationpb.New(3 * time.Second)}
	d.hear(&pb.HoldResponse{Kind: &pb.HoldResponse_Queued{Queued: queued}})
}

var refused = &Error{Kind: ErrUnavailable, Message: "a: connection refused", isUnheard: true}

// said is what has been said on the newest stream, in short.
func (d *desk) said() string {
	var words []string
	for _, message := range d.link().said {
		switch kind := message.GetKind().(type) {
		case *pb.HoldRequest_Heartbeat:
			words = append(words, fmt.Sprintf("beat %d", kind.Heartbeat.GetSeq()))
		case *pb.HoldRequest_Acquire:
			words = append(words, "acquire "+kind.Acquire.GetResource())
		case *pb.HoldRequest_Resume:
			words = append(words, "resume "+kind.Resume.GetResource())
		case *pb.HoldRequest_Release:
			words = append(words, "release "+kind.Release.GetResource())
		}
	}
	return strings.Join(words, ", ")
}

func (d *desk) expectSaid(want string) {
	d.Helper()
	if got := d.said(); got != want {
		d.Fatalf("at %v ms, said: %s; expected: %s", d.nowMs, got, want)
	}
}

func (d *desk) expectHeld(w *wish, want bool) {
	d.Helper()
	if got := w.belief.isHeld(d.nowMs); got != want {
		d.Fatalf("at %v ms, held: %v, expected %v", d.nowMs, got, want)
	}
}

func TestAHeartbeatComesFirstRightAfterAGrantAndThreeTimesATTL(t *testing.T) {
	d := newDesk(t, 1)
	w := d.hold("r")
	d.expectSaid("beat 1, acquire r")
	d.grant(w, 1)
	d.expectSaid("beat 1, acquire r, beat 2")
	d.ack(2)
	d.pass(999)
	d.expectSaid("beat 1, acquire r, beat 2")
	d.pass(2)
	d.expectSaid("beat 1, acquire r, beat 2, beat 3")
	d.hold("s")
	d.expectSaid("beat 1, acquire r, beat 2, beat 3, beat 4, acquire s")
}

func TestTimeInAQueueCountsForNothing(t *testing.T) {
	d := newDesk(t, 1)
	w := d.hold("r")
	for seq := uint64(1); seq <= 5; seq++ {
		d.ack(seq)
		d.expectHeld(w, false)
		d.pass(1001)
	}
	d.grant(w, 1) // Late: it speaks of the first heartbeat.
	d.expectHeld(w, false)
	d.ack(6)
	d.expectHeld(w, true)
}

func TestAnAckSpeaksOnlyOfLeasesGrantedOnItsStream(t *testing.T) {
	d := newDesk(t, 1)
	w := d.hold("r")
	d.grant(w, 1)
	d.ack(2)
	endMs := w.belief.endMs
	d.pass(500)
	d.link().closed(&Error{Kind: ErrUnavailable, Message: "cut"})
	d.pass(100)
	d.expectSaid("beat 3, resume r")
	d.ack(3)
	if w.belief.endMs != endMs {
		t.Fatal("an ack has confirmed a lease that is not resumed yet")
	}
	d.grant(w, 3)
	if w.belief.endMs <= endMs {
		t.Fatalf("the end is %v after the resume, %v before", w.belief.endMs, endMs)
	}
}

func (d *desk) deadlineOf(w *wish) float64 { return deadlineMs(0, w.ttlMs, w.ttlMs) }

func TestABrokenStreamIsResumedAndItsWaitsAreAskedForWithTheSameID(t *testing.T) {
	d := newDesk(t, 2)
	held, waiting := d.hold("held"), d.hold("waiting")
	d.grant(held, 1)
	id := waiting.leaseID
	d.link().closed(&Error{Kind: ErrUnavailable, Message: "cut"})
	d.k.look(d.nowMs)
	if d.link().address != 1 || waiting.leaseID != id {
		t.Fatalf("address %d", d.link().address)
	}
	if said := d.said(); !strings.HasPrefix(said, "beat ") ||
		!strings.Contains(said, "resume held") || !strings.Contains(said, "acquire waiting") {
		t.Fatalf("said: %s", said)
	}
	d.expectHeld(held, true)
}

func TestADaemonThatDrainsIsLeftForTheNextAddressAtOnce(t *testing.T) {
	d := newDesk(t, 2)
	w := d.hold("r")
	d.grant(w, 1)
	d.hear(&pb.HoldResponse{Kind: &pb.HoldResponse_Draining{Draining: &pb.Draining{}}})
	if !d.links[0].isClosed || d.link().address != 1 {
		t.Fatal("it is not left")
	}
	d.expectSaid("beat 3, resume r")
}

func TestASilentStreamIsLeftAfterAPeriodWhenWhatHasArrivedIsRead(t *testing.T) {
	d := newDesk(t, 2)
	w := d.hold("r")
	d.grant(w, 1)
	d.ack(2)
	d.pass(1990) // Heartbeat 3 went out after 1000 ms.
	if len(d.links) != 1 {
		t.Fatal("it is left before a period has passed")
	}
	d.nowMs = 2400 // The program was stopped for a while, and the answer waits to be read.
	for range 3 {  // What has changed meanwhile has it look more than once.
		d.k.look(d.nowMs)
	}
	d.ack(3)
	d.pass(500)
	if len(d.links) != 1 {
		t.Fatal("it is left though it had answered")
	}
	d.pass(850)
	if d.link().address != 1 {
		t.Fatal("it is not left")
	}
	d.expectHeld(w, true)
}

func TestLossIsToldOnceAndForGood(t *testing.T) {
	d := newDesk(t, 1)
	w := d.hold("r")
	d.grant(w, 1)
	d.nowMs = d.deadlineOf(w) - 1
	d.expectHeld(w, true)
	d.nowMs++
	d.expectHeld(w, false) // Nobody has looked: the clock says so.
	d.ack(2)
	d.expectHeld(w, false)
	if cause := context.Cause(w.ctx); !errors.Is(cause, ErrLost) {
		t.Fatalf("the cause is %v", cause)
	}
	if strings.Contains(d.said(), "release") {
		t.Fatal("released before the lease has ended by itself")
	}
	d.pass(200)
	if !strings.Contains(d.said(), "release r") {
		t.Fatal("not released after it has ended")
	}
	answer := &pb.Released{
		Resource: "r", LeaseId: w.leaseID, Outcome: pb.ReleaseOutcome_RELEASE_OUTCOME_RELEASED,
	}
	d.hear(&pb.HoldResponse{Kind: &pb.HoldResponse_Released{Released: answer}})
	if w.phase != over || !errors.Is(w.ending, ErrLost) {
		t.Fatalf("it is over with %v", w.ending)
	}
}

func TestWhoReleasesStopsBelievingBeforeItIsSaid(t *testing.T) {
	d := newDesk(t, 1)
	w := d.hold("r")
	d.grant(w, 1)
	d.k.release(w)
	d.expectHeld(w, false)
	d.expectSaid("beat 1, acquire r, beat 2")
	d.k.look(d.nowMs)
	d.expectSaid("beat 1, acquire r, beat 2, beat 3, release r")
	d.pass(6000)
	if w.phase != over || !errors.Is(w.ending, ErrUnavailable) {
		t.Fatalf("without an answer it ends with %v", w.ending)
	}
}

func TestAReleaseOfAShortLeaseHurriesNoDaemonThatKeepsLongerOnes(t *testing.T) {
	d := newDesk(t, 2)
	long := d.hold("long", TTL(time.Minute))
	d.grant(long, 1)
	d.ack(2)
	short := d.hold("short")
	d.grant(short, 3)
	d.ack(4)
	d.k.release(short)
	d.pass(2500) // As a daemon may take whose stores are slow, with leases of a minute.
	d.ack(5)
	d.pass(4000) // Nobody has answered the release.
	if len(d.links) != 1 || short.phase != over {
		t.Fatal("the daemon was left as silent")
	}
	d.expectHeld(long, true)
}

func TestWhatIsGoneWhenItIsReleasedIsLostUnlessAReleaseWentUnanswered(t *testing.T) {
	for _, story := range []struct {
		failure *Error // What becomes of the first release.
		isLost  bool
	}{
		{nil, true},
		{&Error{Kind: ErrUnavailable, Message: "refused", isUnheard: true}, true},
		{&Error{Kind: ErrUnavailable, Message: "cut"}, false},
	} {
		d := newDesk(t, 1)
		w := d.hold("r")
		d.grant(w, 1)
		d.k.release(w)
		d.k.look(d.nowMs)
		if story.failure != nil {
			d.link().closed(story.failure)
			d.pass(1000)
		}
		gone := &pb.Released{
			Resource: "r", LeaseId: w.leaseID, Outcome: pb.ReleaseOutcome_RELEASE_OUTCOME_NOT_HELD,
		}
		d.hear(&pb.HoldResponse{Kind: &pb.HoldResponse_Released{Released: gone}})
		if w.phase != over || errors.Is(w.ending, ErrLost) != story.isLost {
			t.Fatalf("after %v it ends with %v", story.failure, w.ending)
		}
	}
}

func TestAPlaceThatNamesNoTTLBringsNoFloodOfHeartbeats(t *testing.T) {
	for _, ttl := range []*durationpb.Duration{nil, {}} {
		d := newDesk(t, 1)
		d.hold("r", TTL(30*time.Second))
		d.hear(&pb.HoldResponse{Kind: &pb.HoldResponse_Queued{
			Queued: &pb.Queued{Resource: "r", Position: 1, Ttl: ttl},
		}})
		d.ack(1)
		d.pass(9900)
		d.expectSaid("beat 1, acquire r")
	}
}

func TestLabelsAreThoseOfWhenTheyWereGiven(t *testing.T) {
	d := newDesk(t, 1)
	labels := map[string]string{"team": "a"}
	d.hold("r", Labels(labels))
	labels["team"] = "b"
	if sent := d.link().said[1].GetAcquire().GetLabels(); sent["team"] != "a" {
		t.Fatalf("the labels are %v", sent)
	}
}

func TestWhoseCallbackPanicsLeavesNothingBehind(t *testing.T) {
	d := newDesk(t, 1)
	w := d.hold("r", OnQueued(func(int, *LeaseInfo) { panic("the caller's own") }))
	d.queue("r")
	func() {
		defer func() { _ = recover() }()
		_, _ = d.k.await(context.Background(), w)
	}()
	d.k.look(d.nowMs)
	d.expectSaid("beat 1, acquire r, beat 2, release r")
}

func TestAGrantThatNobodyWaitsForAnyMoreIsGivenBack(t *testing.T) {
	d := newDesk(t, 1)
	w := d.hold("r")
	w.refuse(d.nowMs, errors.New("given up"))
	d.pass(1100) // Nobody has answered the release.
	d.grant(w, 1)
	if said := d.said(); !strings.HasSuffix(said, "release r") {
		t.Fatalf("said: %s", said)
	}
	d.expectHeld(w, false)
}

func TestWhatIsOverIsNotAskedForAgainWhateverIsSaidOfIt(t *testing.T) {
	d := newDesk(t, 1)
	w := d.hold("r", Wait(0))
	denied := &pb.Denied{Resource: "r", LeaseId: w.leaseID, Reason: pb.DenialReason_DENIAL_REASON_LOCK_HELD}
	lost := &pb.Lost{Resource: "r", LeaseId: w.leaseID}
	// Both are read before anybody looks.
	d.link().heard(&pb.HoldResponse{Kind: &pb.HoldResponse_Denied{Denied: denied}})
	d.link().heard(&pb.HoldResponse{Kind: &pb.HoldResponse_Lost{Lost: lost}})
	d.pass(1000)
	if !errors.Is(w.outcome, ErrHeld) || w.phase != over {
		t.Fatalf("it is refused with %v, and goes on", w.outcome)
	}
	d.expectSaid("beat 1, acquire r")
}

func TestAnIDThatIsUsedUpIsNotAskedWithAgain(t *testing.T) {
	d := newDesk(t, 1)
	w := d.hold("r")
	id := w.leaseID
	denied := &pb.Denied{Resource: "r", LeaseId: id, Reason: pb.DenialReason_DENIAL_REASON_LEASE_LOST}
	d.hear(&pb.HoldResponse{Kind: &pb.HoldResponse_Denied{Denied: denied}})
	d.pass(retryMs + 1)
	d.expectSaid("beat 1, acquire r, beat 2, acquire r")
	if asked := d.link().said[3].GetAcquire().GetLeaseId(); asked == id || asked != w.leaseID {
		t.Fatalf("asked with %s after %s", asked, id)
	}
	d.grant(w, 2)
	d.expectHeld(w, true)
}

func TestADaemonThatIsGoneIsAskedAgainOnceASecondAtTheLeast(t *testing.T) {
	d := newDesk(t, 1)
	w := d.hold("r", TTL(time.Hour))
	d.grant(w, 1)
	lastMs := d.nowMs
	for range 20 {
		count := len(d.links)
		d.link().closed(&Error{Kind: ErrUnavailable, Message: "refused", isUnheard: true})
		for len(d.links) == count {
			d.pass(10)
		}
		if d.nowMs-lastMs > 1020 {
			t.Fatalf("asked again after %v ms", d.nowMs-lastMs)
		}
		lastMs = d.nowMs
	}
	d.expectHeld(w, true)
}

func TestTenThousandLocksAreKeptWithoutHurryAndOneMoreIsRefused(t *testing.T) {
	d := newDesk(t, 1)
	began := time.Now()
	var first *wish
	for n := range mostWanted {
		settings, _ := settingsOf("ann", forever, []Option{TTL(time.Minute)})
		w, _, err := d.k.add(context.Background(), fmt.Sprint(n), settings, d.nowMs)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = w
		}
	}
	for range 20 { // As messages come in.
		d.k.look(d.nowMs)
		d.k.nextMs(d.nowMs)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Fatalf("it took %v", took)
	}
	ask := func() error {
		settings, _ := settingsOf("ann", forever, nil)
		_, _, err := d.k.add(context.Background(), "one more", settings, d.nowMs)
		return err
	}
	if err := ask(); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("one more: %v", err)
	}
	d.k.release(first)
	if err := ask(); err != nil {
		t.Fatalf("in place of another: %v", err)
	}
}

func TestAWaitEndsWhenNobodyAnswersForTooLong(t *testing.T) {
	d := newDesk(t, 2)
	d.refusal = refused
	w := d.hold("r")
	for range 2000 {
		if isOver(w.decided) {
			break
		}
		d.pass(10)
	}
	if !errors.Is(w.outcome, ErrUnavailable) || d.nowMs < 9900 || d.nowMs > 11_000 {
		t.Fatalf("after %v ms: %v", d.nowMs, w.outcome)
	}
}

func TestAWaitThatHasStoodInAQueueOutlastsItsDaemon(t *testing.T) {
	d := newDesk(t, 1)
	w := d.hold("r")
	d.queue("r")
	id := w.leaseID
	d.refusal = refused
	d.pass(600_000)
	d.refusal = nil
	d.pass(1000)
	if isOver(w.decided) || w.leaseID != id {
		t.Fatalf("it is not asked for again as before: %v", w.outcome)
	}
	d.grant(w, d.k.seq)
	d.expectHeld(w, true)
}

func TestAWaitThatHasStoodInAQueueEndsFiveSecondsAfterItsEndWhenNobodyAnswers(t *testing.T) {
	d := newDesk(t, 1)
	w := d.hold("r", Wait(time.Minute))
	d.queue("r")
	d.refusal = refused
	d.pass(64_999)
	if isOver(w.decided) {
		t.Fatalf("after %v ms: %v", d.nowMs, w.outcome)
	}
	d.pass(1)
	d.k.look(d.nowMs)
	if !errors.Is(w.outcome, ErrUnavailable) || w.outcome.Error() != refused.Message {
		t.Fatalf("it ends with %v", w.outcome)
	}
}

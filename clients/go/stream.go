package stormlock

import (
	"math"

	pb "github.com/stormlock/stormlock/clients/go/stormlockv1"
)

// link is a Hold stream on its way to one daemon. Nothing here waits.
type link interface {
	// say sends what is to be sent, in this order, as soon as may be.
	say(*pb.HoldRequest)
	// close lets what was said arrive, for a moment, and ends the stream.
	close()
}

// stream is an open Hold stream as its holder knows it: what was sent when, and what was heard.
type stream struct {
	link
	keeper       *keeper
	openedAtMs   float64
	lastBeatAtMs float64
	heardAtMs    float64
	doubtedAtMs  float64         // Since when it seems that it must be left.
	granted      map[string]bool // The ids of the leases that were granted on it (K4).
	beats        []beat          // Those that may still be echoed, the oldest first.
	ackedSeq     uint64
}

type beat struct {
	seq      uint64
	sentAtMs float64
}

func newStream(k *keeper, nowMs float64) *stream {
	never := math.Inf(-1)
	return &stream{
		keeper: k, openedAtMs: nowMs, lastBeatAtMs: never, heardAtMs: never, doubtedAtMs: never,
		granted: map[string]bool{}, ackedSeq: k.seq,
	}
}

// heard hands on what the link has heard, while the stream is the keeper's.
func (s *stream) heard(message *pb.HoldResponse) {
	s.keeper.mu.Lock()
	defer s.keeper.mu.Unlock()
	if s.keeper.stream == s {
		s.keeper.hear(s.keeper.nowMs(), message)
	}
}

// closed is for when the link has ended.
func (s *stream) closed(failure *Error) {
	s.keeper.mu.Lock()
	defer s.keeper.mu.Unlock()
	if s.keeper.stream == s {
		s.keeper.leave(s.keeper.nowMs(), failure)
	}
}

func (s *stream) beat(nowMs float64, seq uint64) {
	s.lastBeatAtMs = nowMs
	s.beats = append(s.beats, beat{seq, nowMs}) // K1: before it is sent.
	s.say(&pb.HoldRequest{Kind: &pb.HoldRequest_Heartbeat{Heartbeat: &pb.Heartbeat{Seq: seq}}})
}

// sentAtMs is when a heartbeat was sent that a daemon echoes; ok is false for none of this stream's.
func (s *stream) sentAtMs(seq uint64) (atMs float64, ok bool) {
	for _, each := range s.beats {
		if each.seq == seq {
			return each.sentAtMs, true
		}
	}
	return math.Inf(-1), false
}

// acknowledge: a heartbeat is answered, and with it all before.
func (s *stream) acknowledge(seq uint64) {
	s.ackedSeq = max(s.ackedSeq, seq)
	for len(s.beats) > 0 && s.beats[0].seq < seq {
		s.beats = s.beats[1:]
	}
}

// silentSinceMs is when the oldest unanswered heartbeat was sent; +Inf when all are answered.
func (s *stream) silentSinceMs() float64 {
	for _, each := range s.beats {
		if each.seq > s.ackedSeq {
			return each.sentAtMs
		}
	}
	return math.Inf(1)
}

// silentUntilMs is until when the oldest unanswered heartbeat may stay so (K8). Who speaks of other
// things has a little longer: on a slow network the answer to the heartbeat before comes after this
// one was sent.
func (s *stream) silentUntilMs(silenceMs float64) float64 {
	sinceMs := s.silentSinceMs()
	untilMs := sinceMs + silenceMs
	if s.heardAtMs > sinceMs {
		untilMs = s.heardAtMs + 1.5*silenceMs
	}
	return min(untilMs, sinceMs+2*silenceMs)
}

package stormlock

import (
	"math"

	pb "github.com/stormlock/stormlock/clients/go/stormlockv1"
)

// What the keeper hears on its stream.

func (k *keeper) hear(nowMs float64, message *pb.HoldResponse) {
	s := k.stream
	s.heardAtMs = nowMs
	k.aloneSinceMs = math.Inf(1)
	k.route.succeed(nowMs - s.openedAtMs)
	switch kind := message.GetKind().(type) {
	case *pb.HoldResponse_HeartbeatAck:
		k.onAck(nowMs, kind.HeartbeatAck)
	case *pb.HoldResponse_Granted:
		k.onGranted(nowMs, kind.Granted)
	case *pb.HoldResponse_Queued:
		if w := k.wishes[kind.Queued.GetResource()]; w != nil {
			w.onPlace(kind.Queued)
		}
	case *pb.HoldResponse_Denied:
		if w := k.wishOf(kind.Denied); w != nil {
			w.onDenied(nowMs, fromDenied(kind.Denied))
		}
	case *pb.HoldResponse_Lost:
		delete(s.granted, kind.Lost.GetLeaseId())
		if w := k.wishOf(kind.Lost); w != nil {
			w.onLost(nowMs, "the daemon says that the lease of "+w.resource+" is lost ("+
				lossWords[kind.Lost.GetCause()]+")")
		}
	case *pb.HoldResponse_Released:
		delete(s.granted, kind.Released.GetLeaseId())
		if w := k.wishOf(kind.Released); w != nil {
			w.onReleased(kind.Released.GetOutcome())
		}
	case *pb.HoldResponse_Draining:
		k.leave(nowMs, &Error{Kind: ErrUnavailable, Message: "the daemon is about to stop"})
	}
	k.lookSoon()
}

var lossWords = map[pb.LossCause]string{
	pb.LossCause_LOSS_CAUSE_UNSPECIFIED:       "it does not say why",
	pb.LossCause_LOSS_CAUSE_NOT_HELD:          "the store no longer has it",
	pb.LossCause_LOSS_CAUSE_EXPIRED:           "it could not be renewed in time",
	pb.LossCause_LOSS_CAUSE_RESUMED_ELSEWHERE: "another stream has resumed it",
}

func (k *keeper) onAck(nowMs float64, ack *pb.HeartbeatAck) {
	sentAtMs, ok := k.stream.sentAtMs(ack.GetSeq())
	if !ok {
		return
	}
	k.stream.acknowledge(ack.GetSeq())
	behind := map[string]float64{}
	for _, lease := range ack.GetBehind() {
		behind[lease.GetLeaseId()] = millis(lease.GetValidFor().AsDuration())
	}
	for _, w := range k.wishes {
		if !k.stream.granted[w.leaseID] {
			continue // K4
		}
		validForMs, isBehind := behind[w.leaseID]
		if !isBehind {
			validForMs = ack.GetValidShare() * w.ttlMs
		}
		w.confirm(nowMs, sentAtMs, validForMs)
	}
}

func (k *keeper) onGranted(nowMs float64, granted *pb.Granted) {
	lease := leaseInfo(granted.GetLease())
	if lease == nil || granted.GetValidFor() == nil {
		return
	}
	w := k.wishOf(granted.GetLease())
	if w == nil {
		// Nobody wants it any more, and nobody has believed in it.
		k.stream.say(releaseMessage(lease.Resource, lease.LeaseID))
		return
	}
	k.stream.granted[lease.LeaseID] = true
	sentAtMs, _ := k.stream.sentAtMs(granted.GetSeq())
	w.onGranted(nowMs, lease, sentAtMs, millis(granted.GetValidFor().AsDuration()))
	k.mustBeat = true
}

// wishOf is the one that a message speaks of, if it still is the one. What is over is heard of no
// more, though it stays until the next look.
func (k *keeper) wishOf(message interface {
	GetResource() string
	GetLeaseId() string
}) *wish {
	w := k.wishes[message.GetResource()]
	if w == nil || w.leaseID != message.GetLeaseId() || w.phase == over {
		return nil
	}
	return w
}

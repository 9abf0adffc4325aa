package stormlock

import "math"

// What the keeper does when it is due.

func (k *keeper) look(nowMs float64) {
	silenceMs := k.silenceMs()
	for _, w := range k.wishes {
		w.look(nowMs)
		if w.isOpen(nowMs) && nowMs >= k.patienceEndsMs(w, silenceMs) {
			w.refuse(nowMs, k.patienceReason(w))
		}
		if w.phase == over {
			k.forget(w)
		}
	}
	if len(k.wishes) == 0 {
		return
	}
	if k.stream != nil {
		k.doubt(nowMs)
	}
	if k.stream == nil && nowMs >= k.route.connectAtMs {
		k.connect(nowMs)
	}
	if k.stream != nil {
		k.speak(nowMs)
	}
}

func (k *keeper) forget(w *wish) {
	delete(k.wishes, w.resource)
	if k.stream != nil {
		delete(k.stream.granted, w.leaseID)
	}
}

// doubt leaves a stream that is silent or of no use, when what has arrived has been read (K8, K10).
func (k *keeper) doubt(nowMs float64) {
	s := k.stream
	isSilent, isUseless := nowMs >= k.silentUntilMs(nowMs), nowMs >= k.uselessAtMs(nowMs)
	switch {
	case !isSilent && !isUseless:
		s.doubtedAtMs = math.Inf(-1)
	case math.IsInf(s.doubtedAtMs, -1):
		s.doubtedAtMs = nowMs
	case nowMs < s.doubtedAtMs+settleMs:
	case isSilent:
		k.leave(nowMs, &Error{Kind: ErrUnavailable, Message: "the daemon has left a heartbeat unanswered"})
	default:
		k.leaveStream()
		k.route.move(nowMs)
	}
}

// speak says what has not been said on this stream: a heartbeat first, then what it carries.
func (k *keeper) speak(nowMs float64) {
	var due []*wish
	for _, w := range k.wishes {
		if nowMs >= w.speakAtMs() {
			due = append(due, w)
		}
	}
	if len(due) > 0 || k.mustBeat || nowMs >= k.stream.lastBeatAtMs+k.periodMs() {
		k.mustBeat = false
		k.seq++
		k.stream.beat(k.nowMs(), k.seq)
		k.aloneSinceMs = min(k.aloneSinceMs, nowMs)
	}
	for _, w := range due {
		k.stream.say(w.nextMessage(nowMs))
	}
}

func (k *keeper) connect(nowMs float64) {
	k.stream = newStream(k, nowMs)
	for _, w := range k.wishes {
		w.onNewStream()
	}
	k.stream.link = k.links[k.route.address()](k.stream)
}

// leave gives up a stream that has failed (K5).
func (k *keeper) leave(nowMs float64, failure *Error) {
	k.leaveStream()
	k.lastFailure = failure
	k.route.fail(nowMs)
	for _, w := range k.wishes {
		if failure.isUnheard {
			w.onUnheard()
		}
		if failure.IsDefinite() {
			w.refuse(nowMs, failure)
		}
	}
	k.lookSoon()
}

func (k *keeper) leaveStream() {
	if k.stream != nil {
		k.stream.close()
		k.stream = nil
	}
}

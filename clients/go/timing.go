package stormlock

import "math"

// When the keeper must look again, and what its waits are measured by.

// periodMs is how often heartbeats are due, as the shortest ttl wants it of all that is wanted. What
// is being released counts only where there is nothing else: the daemon, which keeps it no longer,
// takes the time for its acknowledgements that the others leave it.
func (k *keeper) periodMs() float64 {
	wantedMs, shortestMs := math.Inf(1), math.Inf(1)
	for _, w := range k.wishes {
		shortestMs = min(shortestMs, w.ttlMs)
		if w.isWanted() {
			wantedMs = min(wantedMs, w.ttlMs)
		}
	}
	if math.IsInf(wantedMs, 1) {
		wantedMs = shortestMs
	}
	return max(min(wantedMs/3, longestPeriodMs), shortestPeriodMs)
}

// silenceMs is how long a daemon that is being talked to has to answer.
func (k *keeper) silenceMs() float64 {
	if k.stream == nil {
		return 0
	}
	silenceMs := max(k.periodMs(), shortestSilenceMs)
	if math.IsInf(k.stream.heardAtMs, -1) {
		silenceMs *= math.Pow(2, float64(k.route.rounds()))
	}
	return min(silenceMs, longestSilenceMs)
}

// silentUntilMs is until when the oldest unanswered heartbeat may stay so (K8): no longer than what
// is held can wait, once a daemon that is there would have answered.
func (k *keeper) silentUntilMs(nowMs float64) float64 {
	answeredMs := k.stream.silentSinceMs() + max(k.periodMs()/2, shortestSilenceMs)
	return min(k.stream.silentUntilMs(k.silenceMs()), max(k.urgentAtMs(nowMs), answeredMs))
}

// uselessAtMs is when a stream that answers is to be left all the same (K10).
func (k *keeper) uselessAtMs(nowMs float64) float64 {
	mayMoveAtMs := k.route.mayMoveAtMs()
	if math.IsInf(mayMoveAtMs, 1) || k.isPutOff() {
		return mayMoveAtMs
	}
	return max(mayMoveAtMs, k.urgentAtMs(nowMs))
}

func (k *keeper) urgentAtMs(nowMs float64) float64 {
	atMs, periodMs := math.Inf(1), k.periodMs()
	for _, w := range k.wishes {
		if w.phase == holding {
			atMs = min(atMs, w.belief.urgentAtMs(nowMs, k.stream.openedAtMs, periodMs))
		}
	}
	return atMs
}

// isPutOff tells whether a daemon's store has no answer for one of the wishes, and nobody would
// lose a place in a queue by asking another daemon.
func (k *keeper) isPutOff() bool {
	isPutOff := false
	for _, w := range k.wishes {
		if !w.isWanted() {
			continue
		}
		if w.standing == queued {
			return false
		}
		isPutOff = isPutOff || w.standing == putOff
	}
	return isPutOff
}

// patienceEndsMs is when a wait is to be given up. A daemon with nothing to say is no reason, only
// one that leaves a heartbeat unanswered; and not that either for who has stood in a queue: a daemon
// that is restarted, however long it takes, ends no wait. A wait that is over is refused by the daemon
// itself. A daemon that is being talked to has silenceMs to answer.
func (k *keeper) patienceEndsMs(w *wish, silenceMs float64) float64 {
	if w.hasQueued {
		return w.giveUpAtMs()
	}
	sinceMs := max(w.sinceMs, k.aloneSinceMs)
	return min(sinceMs+max(k.patienceMs, silenceMs), w.giveUpAtMs())
}

// patienceReason is why a wait has been given up.
func (k *keeper) patienceReason(w *wish) *Error {
	why := &Error{Kind: ErrUnavailable, Message: w.trouble}
	if k.lastFailure != nil {
		why.Cause = k.lastFailure
		if isAlone := !math.IsInf(k.aloneSinceMs, 1); isAlone || w.trouble == "" {
			why.Message = k.lastFailure.Message
		}
	}
	if why.Message == "" {
		why.Message = "no daemon has answered whether " + w.resource + " can be had"
	}
	return why
}

// nextMs is when look has something to do, if nothing is heard before.
func (k *keeper) nextMs(nowMs float64) float64 {
	if len(k.wishes) == 0 {
		return math.Inf(1)
	}
	atMs := k.route.connectAtMs
	if s := k.stream; s != nil {
		leaveAtMs := min(k.silentUntilMs(nowMs), k.uselessAtMs(nowMs))
		if nowMs >= leaveAtMs {
			leaveAtMs = s.doubtedAtMs + settleMs
		}
		atMs = min(leaveAtMs, s.lastBeatAtMs+k.periodMs())
	}
	silenceMs := k.silenceMs()
	for _, w := range k.wishes {
		atMs = min(atMs, w.lookAtMs(nowMs))
		if k.stream != nil {
			atMs = min(atMs, w.speakAtMs())
		}
		if w.isOpen(nowMs) {
			atMs = min(atMs, k.patienceEndsMs(w, silenceMs))
		}
	}
	return atMs
}

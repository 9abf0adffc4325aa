//go:build !linux

package stormlock

import (
	"sync"
	"time"
)

var (
	elapsedLock sync.Mutex
	elapsed     = elapsedSince(time.Now())
)

// systemNowMs is the time since the program started, in milliseconds, by Go's monotonic clock.
// Whether that counts the time for which the machine was suspended is the platform's affair:
// Windows counts it, macOS does not. So the wall clock is heeded as well, forward alone: whoever
// sets it ahead loses a lock too early, and nobody believes in one for too long.
func systemNowMs() float64 {
	elapsedLock.Lock()
	defer elapsedLock.Unlock()
	now := time.Now()
	return float64(elapsed.at(now, now.Round(0))) / float64(time.Millisecond)
}

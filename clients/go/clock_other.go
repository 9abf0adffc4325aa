//go:build !linux

package stormlock

import "time"

var started = time.Now()

// systemNowMs is the time since the program started, in milliseconds, by Go's monotonic clock.
// Whether that counts the time for which the machine was suspended is the platform's affair:
// Windows counts it, macOS does not. So the wall clock is heeded as well, forward alone: whoever
// sets it ahead loses a lock too early, and nobody believes in one for too long.
func systemNowMs() float64 {
	now := time.Now()
	monotonic := now.Sub(started)
	wall := now.Round(0).Sub(started.Round(0))
	return float64(max(monotonic, wall)) / float64(time.Millisecond)
}

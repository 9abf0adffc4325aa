package stormlock

import "golang.org/x/sys/unix"

var (
	monotonicStartMs = readMs(unix.CLOCK_MONOTONIC)
	bootStartMs      = readMs(unix.CLOCK_BOOTTIME)
)

// systemNowMs is the time since the program started, in milliseconds. It never goes back, is not
// moved by anybody who sets the wall clock, and counts the time for which the machine was
// suspended: Go's own clock stands still then, and so would a holder's deadline.
func systemNowMs() float64 {
	return max(readMs(unix.CLOCK_MONOTONIC)-monotonicStartMs, readMs(unix.CLOCK_BOOTTIME)-bootStartMs)
}

func readMs(clock int32) float64 {
	var now unix.Timespec
	if err := unix.ClockGettime(clock, &now); err != nil {
		return 0 // A kernel without this clock: the other one counts.
	}
	return float64(now.Sec)*1e3 + float64(now.Nsec)/1e6
}

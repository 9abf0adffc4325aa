package stormlock

import "time"

// elapsedTime adds up the steps of two clocks, of each step the larger one. So it never goes back,
// not even when the wall clock, set ahead, is set right again.
type elapsedTime struct {
	total     time.Duration
	monotonic time.Time
	wall      time.Time
}

func elapsedSince(start time.Time) *elapsedTime {
	return &elapsedTime{monotonic: start, wall: start.Round(0)}
}

// at takes a reading of both clocks: of the monotonic one, and of the wall clock alone.
func (e *elapsedTime) at(monotonic, wall time.Time) time.Duration {
	e.total += max(monotonic.Sub(e.monotonic), wall.Sub(e.wall), 0)
	e.monotonic, e.wall = monotonic, wall
	return e.total
}

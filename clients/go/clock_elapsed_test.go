package stormlock

import (
	"testing"
	"time"
)

func TestElapsedTimeNeverGoesBackWhateverIsSet(t *testing.T) {
	start := time.Now()
	elapsed := elapsedSince(start)
	for _, step := range []struct {
		name            string
		monotonic, wall time.Duration
		want            time.Duration
	}{
		{"both go on", time.Second, time.Second, time.Second},
		{"suspended: the wall clock alone went on", time.Second, time.Minute, time.Minute},
		{"set ahead", 2 * time.Second, time.Hour, time.Hour},
		{"set right again", 3 * time.Second, time.Minute, time.Hour + time.Second},
		{"goes on", 4 * time.Second, time.Minute + time.Second, time.Hour + 2*time.Second},
	} {
		got := elapsed.at(start.Add(step.monotonic), start.Round(0).Add(step.wall))
		if got != step.want {
			t.Errorf("%s: %v has passed, not %v", step.name, got, step.want)
		}
	}
}

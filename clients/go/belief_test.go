package stormlock

import (
	"math"
	"testing"
)

func TestTheDeadlineIsTheOneOfTheGuarantees(t *testing.T) {
	for _, each := range []struct{ validForMs, ttlMs, wantMs float64 }{
		{60_000, 60_000, 56_400},
		{2000, 2000, 1880},
		{0.75 * 60_000, 60_000, 41_550},
	} {
		if got := deadlineMs(0, each.validForMs, each.ttlMs); math.Abs(got-each.wantMs) > 1e-6 {
			t.Errorf("%v of %v: %v, expected %v", each.validForMs, each.ttlMs, got, each.wantMs)
		}
	}
}

func TestBeliefCountsFromBeforeTheQuestionAndEndsByTheClock(t *testing.T) {
	b := newBelief(2000)
	b.confirm(1500, 1000, 2000) // Half a second after it was asked.
	for _, each := range []struct {
		nowMs float64
		want  state
	}{{1500, held}, {2879, held}, {2880, lost}, {1500, lost}} {
		if got := b.state(each.nowMs); got != each.want {
			t.Errorf("at %v: %v, expected %v", each.nowMs, got, each.want)
		}
	}
}

func TestLostIsFinalAndNoAnswerMovesTheEndBack(t *testing.T) {
	b := newBelief(2000)
	b.confirm(0, 0, 2000)
	b.confirm(100, 50, 500)
	if b.endMs != 1880 {
		t.Fatalf("the end has moved back to %v", b.endMs)
	}
	if b.confirm(1880, 1700, 2000) || b.isHeld(1880) {
		t.Fatal("an answer that came too late has revived it")
	}
}

func TestBeliefDoesNotBeginWithALeaseThatIsNearlyOver(t *testing.T) {
	b := newBelief(2000)
	if b.confirm(1500, 0, 2000) || b.state(1500) != pending {
		t.Fatal("380 ms are believed in")
	}
	if !b.confirm(1600, 1500, 2000) {
		t.Fatal("the next answer is not")
	}
}

func TestNoClockGoesBack(t *testing.T) {
	before := systemNowMs()
	for range 1000 {
		now := systemNowMs()
		if now < before {
			t.Fatalf("%v after %v", now, before)
		}
		before = now
	}
}

func TestAddressesAreReadAsOfTheOtherClients(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:7421":            "dns:///127.0.0.1:7421",
		"locks.example.com":         "dns:///locks.example.com:7420",
		"[::1]:7421":                "dns:///[::1]:7421",
		"[::1]":                     "dns:///[::1]:7420",
		"unix:/run/stormlock.sock":  "unix:/run/stormlock.sock",
		"::1":                       "",
		"":                          "",
		":7420":                     "",
		"http://127.0.0.1:7420":     "",
		"unix:run/stormlock.sock":   "",
		"127.0.0.1:7420 127.0.0.1":  "",
		"127.0.0.1:http and others": "",
	} {
		target, _, _, err := parseAddress(address)
		if target != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v, expected %q", address, target, err, want)
		}
	}
}

import unittest
from typing import List, Optional

from stormlock_client._belief import Belief, State, holder_deadline

from .world import FakeClock


class OvertakenClock(FakeClock):
    """Whoever reads it is overtaken by another thread, which looks a long time later."""

    def __init__(self) -> None:
        super().__init__()
        self.belief: Optional[Belief] = None
        self.seen: List[State] = []

    def now(self) -> float:
        at = self.at
        belief, self.belief = self.belief, None
        if belief is not None:
            self.at += 100
            self.seen.append(belief.state)
        return at


class TestBelief(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = FakeClock()
        self.begin = self.clock.now()

    def believed(self, ttl: float = 60.0) -> Belief:
        belief = Belief(self.clock, ttl)
        self.assertTrue(belief.confirm(self.begin, ttl))
        return belief

    def test_the_deadline_is_the_one_of_the_guarantees(self) -> None:
        self.assertAlmostEqual(holder_deadline(0, 60, 60), 56.4)
        self.assertAlmostEqual(holder_deadline(0, 2, 2), 1.88)
        self.assertAlmostEqual(holder_deadline(0, 45, 60), 41.55)

    def test_it_is_at_risk_after_half_a_ttl_without_a_word(self) -> None:
        belief = self.believed()
        self.clock.at = self.begin + 29.9
        self.assertEqual(belief.state, "HELD")
        self.clock.at = self.begin + 30
        self.assertEqual(belief.state, "AT_RISK")
        self.assertTrue(belief.held)

    def test_it_ends_at_the_deadline_by_the_clock(self) -> None:
        belief = self.believed()
        self.clock.at = self.begin + 56.39
        self.assertTrue(belief.held)
        self.clock.at = self.begin + 56.4
        self.assertEqual(belief.state, "LOST")

    def test_a_late_answer_revives_nothing(self) -> None:
        belief = self.believed()
        self.clock.at = self.begin + 57
        self.assertFalse(belief.confirm(self.begin + 56, 60))
        self.assertEqual(belief.state, "LOST")
        self.clock.at = self.begin  # even if a clock went back
        self.assertEqual(belief.state, "LOST")

    def test_no_answer_moves_the_end_back(self) -> None:
        belief = self.believed()
        self.assertFalse(belief.confirm(self.begin, 30))
        self.assertAlmostEqual(belief.deadline, self.begin + 56.4)

    def test_it_does_not_begin_with_a_lease_that_is_nearly_over(self) -> None:
        belief = Belief(self.clock, 60)
        self.clock.at = self.begin + 40
        self.assertFalse(belief.confirm(self.begin, 60))
        self.assertEqual(belief.state, "PENDING")
        self.assertTrue(belief.confirm(self.begin + 39, 60))
        self.assertEqual(belief.state, "HELD")

    def test_what_one_thread_has_seen_lost_is_lost_for_one_that_is_about_to_confirm_or_release(
        self,
    ) -> None:
        def release(belief: Belief) -> None:
            belief.end("RELEASED")

        def confirm(belief: Belief) -> None:
            belief.confirm(self.begin + 1, 60)

        for overtaken in (release, confirm):
            clock = OvertakenClock()
            belief = Belief(clock, 60)
            belief.confirm(clock.at, 60)
            clock.belief = belief
            overtaken(belief)
            self.assertEqual(clock.seen, ["LOST"])
            clock.at = self.begin
            self.assertEqual(belief.state, "LOST")

    def test_what_was_released_stays_so_and_what_was_lost_too(self) -> None:
        belief = self.believed()
        belief.end("RELEASED")
        self.clock.at = self.begin + 100
        self.assertEqual(belief.state, "RELEASED")
        lost = Belief(self.clock, 60)
        lost.end("LOST")
        lost.end("RELEASED")
        self.assertEqual(lost.state, "LOST")

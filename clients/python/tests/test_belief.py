import unittest

from stormlock_client._belief import Belief, holder_deadline

from .world import FakeClock


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

    def test_what_was_released_stays_so_and_what_was_lost_too(self) -> None:
        belief = self.believed()
        belief.end("RELEASED")
        self.clock.at = self.begin + 100
        self.assertEqual(belief.state, "RELEASED")
        lost = Belief(self.clock, 60)
        lost.end("LOST")
        lost.end("RELEASED")
        self.assertEqual(lost.state, "LOST")

import unittest
from typing import Optional, Tuple
from unittest import mock

from stormlock_client import (
    Cancelled,
    InvalidField,
    LeaseLost,
    LockHeld,
    NotAllowed,
    StormlockError,
    Unavailable,
    Unreachable,
)
from stormlock_client._gen import lock_pb2 as pb
from stormlock_client._wish import Wish

from .world import World, duration


class TestTalk(unittest.TestCase):
    def test_a_heartbeat_goes_before_an_acquire_and_after_a_grant(self) -> None:
        world = World()
        wish, ear = world.ask(wait=5, principal="ann", reason="why", labels={"a": "b"})
        self.assertEqual(world.link.kinds, ["heartbeat", "acquire"])
        ask = world.link.said[1].acquire
        self.assertEqual((ask.resource, ask.principal, ask.reason), ("r", "ann", "why"))
        self.assertEqual((ask.ttl.seconds, ask.wait.seconds), (30, 5))
        self.assertEqual(ask.labels["a"], "b")
        world.granted(wish)
        self.assertEqual(world.link.kinds, ["heartbeat", "acquire", "heartbeat"])
        self.assertEqual(ear.events, ["granted"])

    def test_a_wait_without_limit_has_none_on_the_wire_and_no_wait_is_zero(self) -> None:
        world = World()
        world.ask("a")
        world.ask("b", wait=0)
        asks = {each.acquire.resource: each.acquire for each in world.link.said}
        self.assertFalse(asks["a"].HasField("wait"))
        self.assertTrue(asks["b"].HasField("wait"))
        self.assertEqual(asks["b"].wait.ToMilliseconds(), 0)

    def test_heartbeats_come_three_times_within_the_smallest_ttl(self) -> None:
        world = World()
        world.held("long", ttl=600.0)
        sent = len(world.link.said)
        world.pass_time(14.9, answering=True)
        self.assertEqual(len(world.link.said), sent)
        world.pass_time(0.2, answering=True)
        self.assertEqual(world.link.kinds[sent:], ["heartbeat"])
        world.held("short", ttl=3.0)
        sent = len(world.link.said)
        world.pass_time(3.05, answering=True)
        self.assertEqual(world.link.kinds[sent:].count("heartbeat"), 3)

    def test_what_is_being_released_hurries_no_heartbeats(self) -> None:
        world = World()
        short, _ = world.held("short", ttl=1.0)
        world.held("long", ttl=60.0)
        world.keeper.release(short)
        world.look()
        link, sent = world.link, len(world.link.said)
        # That of the short one would have been left as silent by now.
        world.pass_time(4)
        self.assertFalse(link.is_closed)
        self.assertEqual(link.kinds[sent:], [])

    def test_where_all_is_being_released_its_own_ttl_counts(self) -> None:
        world = World(addresses=2)
        wish, _ = world.held(ttl=3.0)
        world.keeper.release(wish)
        world.look()
        world.pass_time(1.5)  # and the daemon says nothing
        self.assertEqual(world.link.address, 1)
        self.assertEqual(world.link.kinds, ["heartbeat", "release"])

    def test_one_more_than_a_stream_keeps_is_refused_unless_others_are_leaving(self) -> None:
        with mock.patch("stormlock_client._wishes.MOST", 3):
            world = World()
            wishes = [world.ask(f"r{n}")[0] for n in range(3)]
            with self.assertRaisesRegex(Unavailable, "more was not asked for: .* 3 locks"):
                world.ask("more")
            world.keeper.release(wishes[0])
            world.ask("more")

    def test_one_stream_serves_any_number_of_leases(self) -> None:
        world = World()
        for n in range(100):
            world.held(f"r{n}")
        self.assertEqual(len(world.links), 1)

    def test_what_happens_to_one_makes_nobody_look_at_all(self) -> None:
        world = World()
        for n in range(200):
            world.held(f"r{n}", ttl=60.0)
        with mock.patch.object(Wish, "look", autospec=True, side_effect=Wish.look) as look:
            wish, _ = world.held("one more", ttl=60.0)
            world.keeper.release(wish)
            world.look()
        self.assertLess(look.call_count, 20)

    def test_a_resource_is_asked_for_once(self) -> None:
        world = World()
        wish, _ = world.held()
        with self.assertRaises(InvalidField):
            world.ask()
        world.keeper.release(wish)
        world.look()
        _, _again = world.ask()  # waits until the daemon has let the old lease go
        self.assertEqual(world.link.kinds[-1], "release")
        released = pb.Released(
            resource="r", lease_id=wish.lease_id, outcome=pb.RELEASE_OUTCOME_RELEASED
        )
        world.hear(released=released)
        self.assertEqual(world.link.kinds[-1], "acquire")
        self.assertNotEqual(world.link.said[-1].acquire.lease_id, wish.lease_id)

    def test_what_cannot_be_said_stops_its_caller_alone(self) -> None:
        world = World()
        wish, _ = world.held()
        for bad in ({"principal": "\ud800"}, {"labels": {"a": 1}}, {"reason": "x" * 70_000}):
            with self.assertRaises(InvalidField):
                world.ask("other", **bad)
        world.pass_time(60, answering=True)
        self.assertTrue(wish.belief.held)


class TestDeadline(unittest.TestCase):
    def test_it_counts_from_before_the_heartbeat_that_the_grant_echoes(self) -> None:
        world = World()
        begin = world.now
        wish, _ = world.ask()
        world.clock.at += 2
        world.granted(wish)
        self.assertAlmostEqual(wish.belief.deadline, begin + 30 * 0.99 - 1.5)

    def test_time_in_a_queue_is_not_counted(self) -> None:
        world = World()
        wish, ear = world.ask()
        world.hear(queued=pb.Queued(resource="r", position=1, ttl=duration(30)))
        world.pass_time(100, answering=True)
        self.assertFalse(wish.belief.held)
        world.granted(wish)
        self.assertEqual(ear.events, ["queued 1", "granted"])
        self.assertGreater(wish.belief.deadline, world.now + 15)

    def test_a_grant_that_echoes_a_stranger_is_confirmed_by_the_next_ack(self) -> None:
        world = World()
        wish, ear = world.ask()
        world.granted(wish, seq=12345)
        self.assertFalse(wish.belief.held)
        world.ack()
        self.assertTrue(wish.belief.held)
        self.assertEqual(ear.events, ["granted"])

    def test_an_ack_moves_it_on_by_its_share_and_those_behind_by_their_own(self) -> None:
        world = World()
        one, _ = world.held("one")
        two, _ = world.held("two")
        world.pass_time(10.0)
        beat_at = world.now
        world.ack(share=0.9, behind={two.lease_id: 27.5})
        self.assertAlmostEqual(one.belief.deadline, beat_at + 27 * 0.99 - 1.5, places=2)
        self.assertAlmostEqual(two.belief.deadline, beat_at + 27.5 * 0.99 - 1.5, places=2)

    def test_an_ack_says_nothing_of_leases_not_granted_on_its_stream(self) -> None:
        world = World()
        wish, _ = world.held()
        deadline = wish.belief.deadline
        world.ended(Unavailable("cut"))
        world.pass_time(1)
        self.assertEqual(world.link.kinds, ["heartbeat", "resume"])
        world.ack()
        self.assertEqual(wish.belief.deadline, deadline)
        world.granted(wish)
        self.assertGreater(wish.belief.deadline, deadline)

    def test_what_an_earlier_stream_still_says_is_not_heard(self) -> None:
        world = World(addresses=2)
        wish, _ = world.held()
        old, deadline = world.link, wish.belief.deadline
        world.pass_time(9)
        world.ended(Unavailable("cut"))
        world.hear(old, heartbeat_ack=pb.HeartbeatAck(seq=old.seq, valid_share=1))
        self.assertEqual(wish.belief.deadline, deadline)
        cause = pb.LOSS_CAUSE_RESUMED_ELSEWHERE  # by ourselves
        world.hear(old, lost=pb.Lost(resource="r", lease_id=wish.lease_id, cause=cause))
        self.assertTrue(wish.belief.held)


class TestTrouble(unittest.TestCase):
    def test_a_broken_stream_is_no_loss_and_is_resumed_at_the_next_address(self) -> None:
        world = World(addresses=2)
        wish, ear = world.held()
        world.ended(Unavailable("cut"))
        self.assertEqual([link.address for link in world.links], [0, 1])
        self.assertEqual(world.link.kinds, ["heartbeat", "resume"])
        self.assertEqual(world.link.said[1].resume.lease_id, wish.lease_id)
        self.assertTrue(wish.belief.held)
        self.assertEqual(ear.events, ["granted"])

    def test_a_wait_is_asked_for_again_by_its_id_for_what_is_left_of_it(self) -> None:
        world = World(addresses=2)
        wish, _ = world.ask(wait=20)
        world.clock.at += 5
        world.ended(Unavailable("cut"))
        ask = world.link.said[1].acquire
        self.assertEqual(ask.lease_id, wish.lease_id)
        self.assertEqual(ask.wait.ToMilliseconds(), 15_000)

    def test_a_silent_daemon_is_left_before_the_deadline(self) -> None:
        world = World(addresses=2)
        wish, _ = world.held(ttl=3.0)
        world.pass_time(2.5)
        self.assertTrue(world.links[0].is_closed)
        self.assertEqual(world.links[1].address, 1)
        self.assertLess(world.links[1].opened_at, wish.belief.deadline - 0.5)

    def test_a_daemon_that_drains_is_left_at_once(self) -> None:
        world = World(addresses=2)
        wish, _ = world.held()
        world.hear(draining=pb.Draining())
        self.assertTrue(world.links[0].is_closed)
        self.assertEqual(world.link.kinds, ["heartbeat", "resume"])
        self.assertTrue(wish.belief.held)

    def test_reconnects_pause_for_a_second_at_the_most(self) -> None:
        world = World(addresses=2, patience=100.0)
        world.ask()
        for _ in range(40):
            failed_at = world.now
            world.ended(Unreachable("refused"))
            world.pass_time(1.0)
            self.assertLessEqual(world.link.opened_at - failed_at, 1.0)
        self.assertLess(len(world.links), 45)

    def test_when_nobody_answers_the_wait_ends_with_patience_and_releases_nothing(self) -> None:
        world = World(patience=3.0)
        _, ear = world.ask()
        for _ in range(40):
            if world.keeper.is_idle:
                break
            world.ended(Unreachable("nobody listens"))
            world.pass_time(0.25)
        self.assertEqual(ear.events, ["refused", "not-held"])
        self.assertIsInstance(ear.error, Unreachable)
        self.assertLess(world.now, 1004)

    def test_a_wait_that_has_stood_in_a_queue_outlasts_every_silence(self) -> None:
        world = World(patience=3.0)
        wish, ear = world.ask()
        first = wish.lease_id
        for _ in range(2):
            world.hear(queued=pb.Queued(resource="r", position=1, ttl=duration(30)))
            self.fail_for(world, 600)
        self.assertEqual(ear.events, ["queued 1", "queued 1"])
        self.assertEqual(world.link.said[1].acquire.lease_id, first)
        world.granted(wish)
        self.assertTrue(wish.belief.held)

    def test_it_ends_with_its_own_time_all_the_same(self) -> None:
        world = World(patience=3.0)
        _, ear = world.ask(wait=60)
        world.hear(queued=pb.Queued(resource="r", position=1, ttl=duration(30)))
        self.fail_for(world, 64.9)  # the daemon, if it were there, has five seconds to say so
        self.assertEqual(ear.events, ["queued 1"])
        self.fail_for(world, 0.2)
        self.assertEqual(ear.events[:2], ["queued 1", "refused"])
        self.assertIsInstance(ear.error, Unreachable)
        self.assertEqual(str(ear.error), "nobody listens")
        self.fail_for(world, 5)
        self.assertTrue(world.keeper.is_idle)

    def fail_for(self, world: World, seconds: float) -> None:
        """Nobody can be reached for so long."""
        until = world.now + seconds
        while world.now < until and not world.keeper.is_idle:
            world.ended(Unreachable("nobody listens"))
            world.pass_time(min(1.0, until - world.now))

    def test_a_daemon_without_its_store_is_left_for_one_that_has_it(self) -> None:
        world = World(addresses=2)
        wish, ear = world.ask()
        denied = pb.Denied(
            resource="r",
            lease_id=wish.lease_id,
            message="away",
            reason=pb.DENIAL_REASON_UNAVAILABLE,
        )
        world.hear(denied=denied)
        self.assertEqual(world.link.address, 1)
        self.assertEqual(world.link.said[1].acquire.lease_id, wish.lease_id)
        self.assertEqual(ear.events, [])

    def test_a_silent_one_is_given_the_time_to_read_after_a_pause_of_ours(self) -> None:
        world = World(addresses=2)
        wish, _ = world.held()
        world.pass_time(10)  # a heartbeat is out
        world.clock.at += 8  # and this process is stopped, for longer than any answer takes
        world.look()
        self.assertEqual(len(world.links), 1)
        world.ack()
        world.pass_time(1, answering=True)
        self.assertEqual(len(world.links), 1)
        self.assertTrue(wish.belief.held)


class TestEnds(unittest.TestCase):
    def test_nothing_is_claimed_after_a_pause_beyond_the_deadline(self) -> None:
        world = World()
        wish, ear = world.held()
        world.clock.at += 1000  # the process was stopped: no timer has run
        self.assertFalse(wish.belief.held)
        world.ack()  # what had arrived meanwhile
        self.assertFalse(wish.belief.held)
        self.assertEqual(ear.events[:2], ["granted", "lost"])
        self.assertIsInstance(ear.error, LeaseLost)

    def test_what_is_lost_is_told_once_and_released_when_it_would_have_ended_anyway(self) -> None:
        world = World(patience=100.0)
        begin = world.now
        wish, ear = world.held()
        while wish.belief.held:
            world.ended(Unavailable("cut"))
            world.pass_time(0.1)
        self.assertLess(world.now, begin + 29)
        self.assertEqual(ear.events, ["granted", "lost"])
        world.pass_time(begin + 29.9 - world.now)
        self.assertFalse(any("release" in link.kinds for link in world.links))
        world.pass_time(0.2)
        self.assertIn("release", world.link.kinds)
        world.granted(wish)
        self.assertFalse(wish.belief.held)

    def test_a_daemon_that_says_lost_ends_belief_at_once(self) -> None:
        world = World()
        wish, ear = world.held()
        world.hear(lost=pb.Lost(resource="r", lease_id=wish.lease_id, cause=pb.LOSS_CAUSE_NOT_HELD))
        self.assertFalse(wish.belief.held)
        self.assertEqual(ear.events, ["granted", "lost", "not-held"])
        self.assertTrue(world.keeper.is_idle)

    def test_belief_ends_before_the_release_is_said(self) -> None:
        world = World()
        wish, ear = world.held()
        world.keeper.release(wish)
        self.assertEqual(wish.belief.state, "RELEASED")
        self.assertNotIn("release", world.link.kinds)
        world.look()
        self.assertEqual(world.link.kinds[-1], "release")
        world.hear(
            released=pb.Released(
                resource="r", lease_id=wish.lease_id, outcome=pb.RELEASE_OUTCOME_RELEASED
            )
        )
        self.assertEqual(ear.events, ["granted", "released"])
        self.assertTrue(world.keeper.is_idle)

    def test_a_release_that_is_not_answered_is_unknown_after_a_while(self) -> None:
        world = World()
        wish, ear = world.held()
        world.keeper.release(wish)
        world.look()
        world.pass_time(6)
        self.assertEqual(ear.events, ["granted", "unknown"])

    def test_what_is_gone_when_it_is_released_was_not_held_unless_a_release_went_unanswered(
        self,
    ) -> None:
        # What becomes of the first release, and what it means that the lease is gone then.
        stories: Tuple[Tuple[Optional[StormlockError], str], ...] = (
            (None, "not-held"),
            (Unreachable("nobody is there"), "not-held"),
            (Unavailable("cut"), "unknown"),
        )
        for failure, outcome in stories:
            world = World()
            wish, ear = world.held()
            world.keeper.release(wish)
            world.look()
            if failure is not None:
                world.ended(failure)
                world.pass_time(1)
            self.assertEqual(world.link.kinds[-1], "release")
            gone = pb.Released(resource="r", lease_id=wish.lease_id)
            gone.outcome = pb.RELEASE_OUTCOME_NOT_HELD
            world.hear(released=gone)
            self.assertEqual(ear.events, ["granted", outcome])

    def test_the_same_goes_for_one_that_is_lost_while_it_is_released(self) -> None:
        for is_denied, outcome in ((False, "not-held"), (True, "unknown")):
            world = World()
            wish, ear = world.held()
            world.keeper.release(wish)
            world.look()
            if is_denied:
                reason = pb.DENIAL_REASON_UNAVAILABLE
                denied = pb.Denied(resource="r", lease_id=wish.lease_id, reason=reason)
                world.hear(denied=denied)
                world.pass_time(0.3)
            self.assertEqual(world.link.kinds.count("release"), 2 if is_denied else 1)
            cause = pb.LOSS_CAUSE_NOT_HELD
            world.hear(lost=pb.Lost(resource="r", lease_id=wish.lease_id, cause=cause))
            self.assertEqual(ear.events, ["granted", outcome])

    def test_the_holder_is_named_to_who_is_refused(self) -> None:
        world = World()
        wish, ear = world.ask(wait=0)
        denied = pb.Denied(
            resource="r",
            lease_id=wish.lease_id,
            reason=pb.DENIAL_REASON_LOCK_HELD,
            message="r is held",
        )
        denied.holder.principal = "bob"
        world.hear(denied=denied)
        assert isinstance(ear.error, LockHeld) and ear.error.holder is not None
        self.assertEqual(ear.error.holder.principal, "bob")
        self.assertEqual(ear.events, ["refused", "not-held"])

    def test_a_denial_has_an_error_of_its_own(self) -> None:
        for reason, kind in (
            (pb.DENIAL_REASON_INVALID_FIELD, InvalidField),
            (pb.DENIAL_REASON_NOT_ALLOWED, NotAllowed),
        ):
            world = World()
            wish, ear = world.ask()
            world.hear(denied=pb.Denied(resource="r", lease_id=wish.lease_id, reason=reason))
            self.assertIsInstance(ear.error, kind)

    def test_an_id_that_is_used_up_before_anybody_believed_is_replaced(self) -> None:
        world = World()
        wish, ear = world.ask()
        first = wish.lease_id
        world.hear(
            denied=pb.Denied(resource="r", lease_id=first, reason=pb.DENIAL_REASON_LEASE_LOST)
        )
        world.pass_time(1)
        self.assertNotEqual(wish.lease_id, first)
        self.assertEqual(world.link.said[-1].acquire.lease_id, wish.lease_id)
        self.assertEqual(ear.events, [])

    def test_a_wait_that_is_given_up_is_released_by_its_id(self) -> None:
        world = World()
        wish, ear = world.ask()
        world.keeper.release(wish)
        world.look()
        self.assertEqual(world.link.said[-1].release.lease_id, wish.lease_id)
        self.assertIsInstance(ear.error, Cancelled)
        world.granted(wish)  # which was on its way
        self.assertFalse(wish.belief.held)

    def test_a_grant_that_nobody_wants_any_more_is_given_back(self) -> None:
        world = World()
        _wish, _ = world.ask("other")
        lease = pb.Lease(resource="r", lease_id="stranger")
        world.hear(granted=pb.Granted(lease=lease, seq=1, valid_for=duration(30)))
        self.assertIn("stranger", [each.release.lease_id for each in world.link.said])

    def test_closing_releases_everything(self) -> None:
        world = World()
        one, _ = world.held("one")
        two, waiting = world.ask("two")
        world.keeper.close()
        world.look()
        self.assertEqual(world.link.kinds.count("release"), 2)
        self.assertIsInstance(waiting.error, Cancelled)
        for wish in (one, two):
            world.hear(released=pb.Released(resource=wish.resource, lease_id=wish.lease_id))
        self.assertTrue(world.keeper.is_idle)
        with self.assertRaises(Cancelled):
            world.ask("three")

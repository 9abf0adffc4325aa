import unittest
from typing import List, Optional

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2

from stormlock_client import (
    Cancelled,
    InvalidField,
    LeaseLost,
    LockHeld,
    Refused,
    StormlockError,
    Tls,
    Unavailable,
    Unreachable,
)
from stormlock_client._acquisition import Acquisition
from stormlock_client._address import channel_options, credentials_for, parse_address
from stormlock_client._answers import error_from
from stormlock_client._calls import Granted, Turns, granted_by
from stormlock_client._gen import lock_pb2 as pb
from stormlock_client._order import Order

from .world import FakeClock, duration


class TestAddresses(unittest.TestCase):
    def test_they_are_read_as_the_command_line_reads_them(self) -> None:
        for text, target in (
            ("127.0.0.1:7421", "dns:///127.0.0.1:7421"),
            ("locks.example.com", "dns:///locks.example.com:7420"),
            ("[::1]:7421", "dns:///[::1]:7421"),
            ("unix:/run/s.sock", "unix:/run/s.sock"),
            ("unix:///run/s.sock", "unix:/run/s.sock"),
        ):
            self.assertEqual(parse_address(text).target, target)
        for text in ("", ":7420", "::1", "http://a:1", "a:0", "a:70000", "unix:", "[zz]:1"):
            with self.assertRaises(InvalidField, msg=text):
                parse_address(text)

    def test_no_proxy_leads_to_this_very_machine(self) -> None:
        for text, is_loopback in (
            ("127.0.0.2", True),
            ("localhost", True),
            ("[::1]", True),
            ("[::ffff:127.0.0.1]", True),
            ("unix:/s", True),
            ("192.0.2.1", False),
            ("localhost.example.com", False),
        ):
            options = channel_options(parse_address(text))
            self.assertEqual(("grpc.enable_http_proxy", 0) in options, is_loopback, text)

    def test_a_certificate_needs_its_key(self) -> None:
        with self.assertRaises(InvalidField):
            Tls(cert=b"pem")
        self.assertIsNone(credentials_for(parse_address("unix:/s"), Tls(ca=b"pem")))


class TestAnswers(unittest.TestCase):
    def answer(
        self, code: grpc.StatusCode, reason: str = "", domain: str = "stormlock"
    ) -> StormlockError:
        status = status_pb2.Status()
        if reason:
            info = error_details_pb2.ErrorInfo(reason=reason, domain=domain)
            info.metadata["field"] = "ttl"
            held = pb.LockHeld(holder=pb.Lease(principal="bob"))
            for detail in (info, held):
                packed = Any()
                packed.Pack(detail)
                status.details.append(packed)
        trailer = [("grpc-status-details-bin", status.SerializeToString())]
        return error_from("somewhere", code, "words", trailer)

    def test_a_definite_answer_is_known_by_its_reason(self) -> None:
        held = self.answer(grpc.StatusCode.ALREADY_EXISTS, "LOCK_HELD")
        assert isinstance(held, LockHeld) and held.holder is not None
        self.assertEqual(held.holder.principal, "bob")
        lost = self.answer(grpc.StatusCode.NOT_FOUND, "LEASE_LOST")
        self.assertIsInstance(lost, LeaseLost)
        invalid = self.answer(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert isinstance(invalid, InvalidField)
        self.assertEqual(invalid.field, "ttl")

    def test_a_code_alone_proves_nothing(self) -> None:
        for code in (grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.NOT_FOUND):
            self.assertFalse(self.answer(code).definite)
            self.assertFalse(self.answer(code, "LOCK_HELD", "elsewhere").definite)
        self.assertIsInstance(self.answer(grpc.StatusCode.UNIMPLEMENTED), Refused)

    def test_a_stream_that_is_reset_does_not_say_that_this_client_was_closed(self) -> None:
        for reason in ("", "CANCELLED"):
            answer = self.answer(grpc.StatusCode.CANCELLED, reason)
            self.assertIsInstance(answer, Unavailable)
            with self.assertRaises(Unavailable):
                Turns(1, 0, FakeClock(), 0.0).failed(answer, False)
            with self.assertRaises(Cancelled):
                Turns(1, 0, FakeClock(), 0.0).failed(answer, True)

    def test_bytes_of_a_stranger_are_no_details(self) -> None:
        trailer = [("grpc-status-details-bin", b"\xff\xff\xff")]
        answer = error_from("somewhere", grpc.StatusCode.NOT_FOUND, "words", trailer)
        self.assertIsInstance(answer, Unavailable)


class TestTurns(unittest.TestCase):
    def test_each_address_has_its_turn_and_its_share_until_patience_ends(self) -> None:
        clock = FakeClock()
        turns = Turns(3, 1, clock, 10.0)
        asked: List[int] = []
        with self.assertRaises(Unavailable):
            for _ in range(1000):
                asked.append(turns.address)
                clock.at += turns.timeout
                clock.at += turns.failed(Unavailable("silence"), False)
        self.assertEqual(asked[:3], [1, 2, 0])
        self.assertLessEqual(clock.at, 1010.001)

    def test_a_definite_answer_ends_it(self) -> None:
        with self.assertRaises(LeaseLost):
            Turns(3, 0, FakeClock(), 10.0).failed(LeaseLost("gone"), False)


class TestAcquisition(unittest.TestCase):
    def setUp(self) -> None:
        self.clock = FakeClock()

    def acquisition(self, wait: float = 0.0, lease_id: Optional[str] = None) -> Acquisition:
        return Acquisition(self.clock, Order("r", "ann", 30.0, wait), lease_id)

    def granted(self, sent_at: float) -> Granted:
        lease = pb.Lease(resource="r", ttl=duration(30), valid_for=duration(30))
        return granted_by(self.clock, lease, sent_at)

    def test_it_is_asked_again_by_the_same_id_for_what_is_left_of_the_wait(self) -> None:
        asked = self.acquisition(wait=10)
        first = asked.request().lease_id
        self.clock.at += 4
        again = asked.request()
        self.assertEqual((again.lease_id, again.wait.seconds), (first, 6))

    def test_an_answer_that_is_unknown_leaves_something_to_release(self) -> None:
        asked = self.acquisition()
        for error, is_uncertain in (
            (Unreachable("nobody"), False),
            (LockHeld("held"), False),
            (Unavailable("cut"), True),
        ):
            with self.assertRaises(StormlockError):
                asked.failed(error)
            self.assertEqual(asked.is_uncertain, is_uncertain)

    def test_an_id_used_up_by_a_lost_answer_is_replaced_but_not_one_of_the_callers(self) -> None:
        asked = self.acquisition()
        first = asked.lease_id
        asked.is_uncertain = True
        with self.assertRaises(Unavailable):
            asked.failed(LeaseLost("used up"))
        self.assertNotEqual(asked.lease_id, first)
        theirs = self.acquisition(lease_id="theirs")
        theirs.is_uncertain = True
        with self.assertRaises(LeaseLost):
            theirs.failed(LeaseLost("used up"))

    def test_a_lease_is_believed_from_before_it_was_asked_for_until_its_deadline(self) -> None:
        granted = self.granted(self.clock.at - 1)
        self.assertAlmostEqual(granted.deadline, self.clock.at - 1 + 30 * 0.99 - 1.5)
        self.clock.at = granted.deadline - 0.01
        self.assertTrue(granted.held)
        self.clock.at = granted.deadline
        self.assertFalse(granted.held)

    def test_only_what_was_waited_for_is_renewed_first(self) -> None:
        late = self.granted(self.clock.at - 20)
        self.assertTrue(self.acquisition(wait=30).needs_renewal(late))
        self.assertFalse(self.acquisition(wait=30).needs_renewal(self.granted(self.clock.at - 1)))
        self.assertFalse(self.acquisition().needs_renewal(late))

import os
import signal
import sqlite3
import threading
import time
import unittest
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any, List
from unittest import mock

import stormlock_client
from stormlock_client import (
    Cancelled,
    Client,
    Hold,
    InvalidField,
    Lease,
    LeaseLost,
    LockHeld,
    Refused,
    StormlockError,
    Tls,
    Unavailable,
    Unreachable,
)
from stormlock_client._order import Loss
from stormlock_client._threads import KeeperThread
from stormlock_client._wish import Wish

from .daemon import SERVER, STORE, TLS_FILES, TLS_SERVER, needs_daemon
from .door import Door


@needs_daemon
class TestClient(unittest.TestCase):
    def setUp(self) -> None:
        self.ann = self.client("ann")
        self.bob = self.client("bob")
        self.name = f"threads/{uuid.uuid4().hex}"

    def client(self, principal: str) -> Client:
        client = stormlock_client.connect([SERVER], principal=principal)
        self.addCleanup(client.close)
        return client

    def test_a_lock_is_held_in_the_block_and_beyond_its_ttl_and_free_after_it(self) -> None:
        with self.ann.hold(self.name, ttl=1, reason="a test", labels={"a": "b"}) as lease:
            self.assertTrue(lease.held)
            self.assertGreater(lease.remaining, 0)
            time.sleep(1.5)
            lease.check()
            seen = self.bob.current(self.name)
            assert seen is not None
            self.assertEqual((seen.token, seen.principal), (lease.token, "ann"))
            self.assertEqual((seen.reason, seen.labels), ("a test", {"a": "b"}))
            self.assertTrue(self.ann.is_held(self.name, lease.lease_id))
        self.assertEqual(lease.state, "RELEASED")
        self.assertFalse(lease.lost.is_set())
        with self.assertRaises(LeaseLost):
            lease.check()
        self.assertIsNone(self.bob.current(self.name))

    def test_who_does_not_wait_hears_who_holds_it(self) -> None:
        with self.ann.hold(self.name):
            for ask in (
                lambda: self.bob.hold(self.name, wait=0),
                lambda: self.bob.acquire(self.name),
            ):
                with self.assertRaises(LockHeld) as refused:
                    ask()
                assert refused.exception.holder is not None
                self.assertEqual(refused.exception.holder.principal, "ann")
                self.assertEqual(refused.exception.holder.lease_id, "")

    def test_who_waits_hears_of_the_place_in_the_queue_and_gets_the_lock(self) -> None:
        places: List[int] = []
        lease = self.ann.hold(self.name)

        def queued(position: int, holder: object) -> None:
            places.append(position)
            lease.release()

        with self.bob.hold(self.name, wait=10, on_queued=queued) as next_lease:
            self.assertGreater(next_lease.token, lease.token)
        self.assertEqual(places[:1], [1])

    def test_what_on_queued_raises_gives_the_wait_up(self) -> None:
        def queued(_position: int, _holder: object) -> None:
            raise KeyboardInterrupt

        with self.ann.hold(self.name):
            with self.assertRaises(KeyboardInterrupt):
                self.bob.hold(self.name, on_queued=queued)
        with self.bob.hold(self.name, wait=5):  # once the daemon has let the old wait go
            pass

    def test_a_wait_in_a_queue_outlasts_a_daemon_that_is_gone_for_longer_than_the_patience(
        self,
    ) -> None:
        door = Door()
        self.addCleanup(door.shut)
        queued = threading.Event()
        tokens: List[int] = []

        def wait() -> None:
            with stormlock_client.connect([door.address], patience=0.5) as client:
                with client.hold(self.name, wait=60, on_queued=lambda *_: queued.set()) as lease:
                    tokens.append(lease.token)

        with self.ann.hold(self.name) as lease:
            thread = threading.Thread(target=wait)
            thread.start()
            self.assertTrue(queued.wait(10))
            door.shut()
            time.sleep(2)
            self.assertTrue(thread.is_alive())
            door.open()
        thread.join(20)
        self.assertGreater(tokens[0], lease.token)

    def test_an_interrupt_leaves_no_lock_behind_wherever_it_comes(self) -> None:
        self.interrupt_soon()
        with self.ann.hold(self.name):
            with self.assertRaises(KeyboardInterrupt):
                self.bob.hold(self.name)
        self.interrupt_soon()
        with self.assertRaises(KeyboardInterrupt):
            with self.ann.hold(self.name):
                time.sleep(10)
        ask = KeeperThread.ask

        def interrupted(keeper: KeeperThread, wish: Wish) -> None:
            ask(keeper, wish)
            raise KeyboardInterrupt

        with mock.patch.object(KeeperThread, "ask", interrupted):
            with self.assertRaises(KeyboardInterrupt):
                self.ann.hold(self.name)
        with self.bob.hold(self.name, wait=5):
            pass

    def interrupt_soon(self) -> None:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()

    def test_an_interrupt_of_the_first_hold_leaves_no_thread_behind(self) -> None:
        before = threading.active_count()
        make = KeeperThread.__init__

        def interrupted(keeper: KeeperThread, *args: Any) -> None:
            make(keeper, *args)
            raise KeyboardInterrupt

        with mock.patch.object(KeeperThread, "__init__", interrupted):
            with self.assertRaises(KeyboardInterrupt):
                self.ann.hold(self.name)
        self.wait_for_threads(before)
        with self.ann.hold(self.name):
            pass

    def test_closing_that_is_interrupted_releases_all_the_same_and_leaves_no_thread(self) -> None:
        before = threading.active_count()
        client = self.client("ann")
        client.hold(self.name)
        with mock.patch("threading.Condition.wait_for", side_effect=KeyboardInterrupt):
            with self.assertRaises(KeyboardInterrupt):
                client.close()
        self.wait_for_threads(before)
        with self.bob.hold(self.name, wait=5):
            pass
        self.bob.close()

    def wait_for_threads(self, count: int) -> None:
        until = time.monotonic() + 5
        while threading.active_count() > count and time.monotonic() < until:
            time.sleep(0.05)
        self.assertLessEqual(threading.active_count(), count)

    def test_a_loss_is_told_and_ends_the_block_with_an_error(self) -> None:
        told: List[Hold] = []
        called = threading.Event()

        def on_lost(hold: Hold) -> None:
            told.append(hold)
            called.set()

        with self.assertRaises(LeaseLost):
            with self.ann.hold(self.name, ttl=1) as lease:
                lease.on_lost(on_lost)
                self.assertEqual(self.bob.release(self.name, lease.lease_id), "released")
                self.assertTrue(lease.lost.wait(5))
                self.assertFalse(lease.held)
        self.assertTrue(called.wait(5))
        self.assertEqual(told, [lease])
        late = threading.Event()
        lease.on_lost(lambda _: late.set())
        self.assertTrue(late.wait(5))

    def test_a_loss_that_no_thread_is_left_to_tell_of_stops_no_keeping(self) -> None:
        lease = self.ann.hold(self.name)
        lease.on_lost(lambda _: None)
        with mock.patch("stormlock_client._hold.threading") as no_threads:
            no_threads.Thread.side_effect = RuntimeError("can't start new thread")
            lease._hear(Loss(LeaseLost("as the keeper says it")))
        self.assertTrue(lease.lost.is_set())

    def test_a_block_whose_lease_is_released_right_before_its_end_ends_with_an_error(self) -> None:
        with self.assertRaisesRegex(LeaseLost, "not held any more"):
            with self.ann.hold(self.name, ttl=60) as lease:
                self.assertEqual(self.bob.release(self.name, lease.lease_id), "released")

    def test_an_error_of_the_block_goes_before_that_of_the_loss(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            with self.ann.hold(self.name, ttl=1) as lease:
                self.bob.release(self.name, lease.lease_id)
                lease.lost.wait(5)
                _ = 1 / 0

    def test_a_lease_is_acquired_renewed_and_released_by_unary_calls(self) -> None:
        granted = self.ann.acquire(self.name, ttl=5)
        self.assertTrue(granted.held)
        lease = granted.lease
        again = self.ann.acquire(self.name, ttl=5, lease_id=lease.lease_id)
        self.assertEqual(again.token, granted.token)
        renewed = self.ann.renew(self.name, lease.lease_id, ttl=20)
        self.assertGreater(renewed.deadline, granted.deadline)
        self.assertEqual([each.token for each in self.bob.list(self.name)], [granted.token])
        self.assertEqual(self.ann.release(self.name, lease.lease_id), "released")
        self.assertEqual(self.ann.release(self.name, lease.lease_id), "not-held")
        self.assertFalse(self.ann.is_held(self.name, lease.lease_id))
        with self.assertRaises(LeaseLost):
            self.ann.renew(self.name, lease.lease_id)
        with self.assertRaises(LeaseLost):
            self.ann.acquire(self.name, lease_id=lease.lease_id)

    def test_an_acquire_that_waited_has_its_whole_ttl(self) -> None:
        lease = self.ann.hold(self.name)
        threading.Timer(1.0, lease.release).start()
        granted = self.bob.acquire(self.name, ttl=5, wait=20)
        self.assertGreater(granted.deadline - stormlock_client.monotonic(), 4)

    def test_a_list_goes_on_over_its_pages(self) -> None:
        names = [f"{self.name}/{n:04}" for n in range(1100)]
        holds = [self.ann.hold(name, ttl=60) for name in names]
        self.assertTrue(all(lease.held for lease in holds))
        self.assertEqual([each.resource for each in self.bob.list(self.name)], names)

    def test_what_a_list_cannot_read_is_told_after_the_rest(self) -> None:
        for name in ("a", "b", "c"):
            self.ann.acquire(f"{self.name}/{name}", ttl=60)
        with closing(sqlite3.connect(STORE, timeout=10, isolation_level=None)) as store:
            foreign = f"{self.name}/b".encode()
            store.execute("UPDATE leases SET labels = 'none' WHERE resource = ?", (foreign,))
        listed = self.bob.list(self.name)
        self.assertEqual(next(listed).resource, f"{self.name}/a")
        self.assertEqual(next(listed).resource, f"{self.name}/c")
        with self.assertRaisesRegex(Unavailable, f"{self.name}/b.*not written by Stormlock"):
            next(listed)

    def test_what_is_wrong_is_named(self) -> None:
        for wrong in (
            lambda: self.ann.hold(" r"),
            lambda: self.ann.acquire(" r"),
            lambda: self.ann.hold("r", ttl=-1),
            lambda: self.ann.hold("r", wait=float("nan")),
            lambda: self.ann.hold("r", ttl=1e12),
            lambda: self.ann.hold("\ud800"),
            lambda: self.ann.acquire("\ud800"),
            lambda: self.ann.acquire("r", reason="x" * 70_000),
        ):
            with self.assertRaises(InvalidField) as refused:
                wrong()
            self.assertNotEqual(str(refused.exception), "")

    def test_threads_share_a_client(self) -> None:
        tokens: List[int] = []

        def work() -> None:
            for _ in range(5):
                # One client holds a resource once: every thread brings its own.
                with stormlock_client.connect([SERVER]) as client:
                    with client.hold(self.name, ttl=10) as lease:
                        tokens.append(lease.token)
                with self.ann.hold(f"{self.name}/{threading.get_ident()}"):
                    pass

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(tokens), 20)
        self.assertEqual(tokens, sorted(set(tokens)))

    def test_closing_gives_up_what_is_waited_for_and_leaves_no_thread(self) -> None:
        before = threading.active_count()
        errors: List[StormlockError] = []
        with self.ann.hold(self.name):
            client = stormlock_client.connect([SERVER])
            queued = threading.Event()

            def wait() -> None:
                try:
                    client.hold(self.name, on_queued=lambda *_: queued.set())
                except StormlockError as error:
                    errors.append(error)

            thread = threading.Thread(target=wait)
            thread.start()
            self.assertTrue(queued.wait(10))
            client.close()
            thread.join()
            self.assertIsInstance(errors[0], Cancelled)
            with self.assertRaises(Cancelled):
                client.current(self.name)
        self.ann.close()
        self.wait_for_threads(before)

    def test_a_forked_child_claims_nothing(self) -> None:
        # Not by a fork: gRPC itself does not always live through one.
        with self.ann.hold(self.name) as lease:
            with mock.patch("os.getpid", return_value=os.getpid() + 1):
                self.assertFalse(lease.held)
                self.assertEqual(lease.release(), "unknown")
                with self.assertRaisesRegex(StormlockError, "connect again after a fork"):
                    self.ann.current(self.name)
            self.assertTrue(lease.held)

    def test_no_secret_is_shown(self) -> None:
        granted = self.ann.acquire(self.name)
        self.assertNotIn(granted.lease.lease_id, repr(granted))
        with self.ann.hold(f"{self.name}/kept") as lease:
            self.assertNotIn(lease.lease_id, repr(lease) + repr(lease.lease))
        self.assertIsInstance(granted.lease, Lease)

    def test_the_environment_says_where_and_who(self) -> None:
        said = {
            "STORMLOCK_SERVER": f"127.0.0.1:1, {SERVER}",
            "STORMLOCK_PRINCIPAL": "env",
            "STORMLOCK_TTL": "7s",
        }
        with mock.patch.dict(os.environ, said):
            with stormlock_client.hold(self.name, wait=5) as lease:
                self.assertEqual(lease.lease.principal, "env")
                self.assertEqual(lease.lease.ttl, 7)
        with mock.patch.dict(os.environ, {"STORMLOCK_SERVER": ""}):
            with self.assertRaises(InvalidField):
                with stormlock_client.hold(self.name):
                    pass


class TestNobody(unittest.TestCase):
    def test_it_is_said_within_the_patience_that_nobody_can_be_reached(self) -> None:
        with stormlock_client.connect(["127.0.0.1:1"], patience=1) as client:
            for ask in (client.current, client.hold, client.acquire):
                with self.assertRaises(Unreachable):
                    ask("r")

    def test_no_proxy_is_asked_for_this_very_machine(self) -> None:
        with mock.patch.dict(os.environ, {"http_proxy": "http://127.0.0.1:9"}):
            with stormlock_client.connect(["127.0.0.1:1"], patience=1) as client:
                with self.assertRaisesRegex(Unavailable, "127.0.0.1:1"):
                    client.current("r")


@unittest.skipIf(TLS_SERVER == "", "needs a daemon with TLS: STORMLOCK_TEST_TLS_SERVER")
class TestTls(unittest.TestCase):
    def file(self, name: str) -> bytes:
        return (Path(TLS_FILES) / name).read_bytes()

    def test_the_certificate_says_who_asks(self) -> None:
        tls = Tls(self.file("ca.crt"), self.file("ann.crt"), self.file("ann.key"))
        with stormlock_client.connect([TLS_SERVER], tls=tls, principal="somebody else") as client:
            with client.hold("tls") as lease:
                self.assertEqual(lease.lease.principal, "ann")

    def test_without_one_nobody_is_let_in(self) -> None:
        for tls in (None, Tls(self.file("ca.crt"))):
            with stormlock_client.connect([TLS_SERVER], tls=tls, patience=1) as client:
                for ask in (client.current, client.hold):
                    with self.assertRaises((Unavailable, Refused)):
                        ask("tls")

import asyncio
import os
import threading
import time
import unittest
import uuid
from typing import List
from unittest import mock

from stormlock_client import (
    Cancelled,
    InvalidField,
    LeaseLost,
    LockHeld,
    Unreachable,
    aio,
    monotonic,
)

from .daemon import SERVER, needs_daemon
from .door import Door


@needs_daemon
class TestAio(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.ann = aio.connect([SERVER], principal="ann")
        self.bob = aio.connect([SERVER], principal="bob")
        self.addAsyncCleanup(self.ann.close)
        self.addAsyncCleanup(self.bob.close)
        self.name = f"aio/{uuid.uuid4().hex}"

    async def test_a_lock_is_held_in_the_block_and_beyond_its_ttl_and_free_after_it(self) -> None:
        async with self.ann.hold(self.name, ttl=1) as lease:
            await asyncio.sleep(1.5)
            lease.check()
            seen = await self.bob.current(self.name)
            assert seen is not None
            self.assertEqual((seen.token, seen.principal), (lease.token, "ann"))
        self.assertEqual(lease.state, "RELEASED")
        self.assertFalse(lease.lost.is_set())
        self.assertIsNone(await self.bob.current(self.name))

    async def test_a_hold_can_be_awaited_and_released_by_hand(self) -> None:
        lease = await self.ann.hold(self.name)
        self.assertTrue(await self.ann.is_held(self.name, lease.lease_id))
        self.assertEqual(await lease.release(), "released")
        self.assertEqual(await lease.release(), "released")

    async def test_who_does_not_wait_hears_who_holds_it(self) -> None:
        async with self.ann.hold(self.name):
            with self.assertRaises(LockHeld) as refused:
                await self.bob.hold(self.name, wait=0)
            assert refused.exception.holder is not None
            self.assertEqual(refused.exception.holder.principal, "ann")

    async def test_who_waits_gets_the_lock_when_it_is_given_back(self) -> None:
        places: List[int] = []
        queued = asyncio.Event()
        lease = await self.ann.hold(self.name)

        def on_queued(position: int, _holder: object) -> None:
            places.append(position)
            queued.set()

        waiting = asyncio.ensure_future(self.wait(on_queued))
        await queued.wait()
        await lease.release()
        self.assertGreater(await waiting, lease.token)
        self.assertEqual(places[:1], [1])

    async def wait(self, on_queued: aio.OnQueued) -> int:
        async with self.bob.hold(self.name, on_queued=on_queued) as lease:
            return lease.token

    async def test_a_wait_that_is_cancelled_leaves_the_queue(self) -> None:
        async with self.ann.hold(self.name):
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(self.wait(lambda *_: None), 0.5)
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(self.bob.acquire(self.name, wait=30), 0.5)
        async with self.bob.hold(self.name, wait=5):
            pass

    async def test_a_wait_in_a_queue_outlasts_a_daemon_that_is_gone_for_longer_than_the_patience(
        self,
    ) -> None:
        door = Door()
        self.addCleanup(door.shut)
        queued = asyncio.Event()
        async with aio.connect([door.address], patience=0.5) as client:
            async with self.ann.hold(self.name) as lease:
                waiting = asyncio.ensure_future(self.begin(client, queued))
                await queued.wait()
                door.shut()
                await asyncio.sleep(2)
                self.assertFalse(waiting.done())
                door.open()
            self.assertGreater((await waiting).token, lease.token)

    async def test_a_task_that_is_cancelled_in_its_block_leaves_no_lock_behind(self) -> None:
        begun = asyncio.Event()

        async def work() -> None:
            async with self.ann.hold(self.name):
                begun.set()
                await asyncio.sleep(60)

        task = asyncio.ensure_future(work())
        await begun.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # while it is being released
        with self.assertRaises(asyncio.CancelledError):
            await task
        async with self.bob.hold(self.name, wait=5):
            pass

    async def test_code_that_blocks_the_loop_loses_no_lock(self) -> None:
        async with self.ann.hold(self.name, ttl=1) as lease:
            time.sleep(2)
            lease.check()

    async def test_a_loss_can_be_awaited_and_ends_the_block_with_an_error(self) -> None:
        with self.assertRaises(LeaseLost):
            async with self.ann.hold(self.name, ttl=1) as lease:
                await self.bob.release(self.name, lease.lease_id)
                await asyncio.wait_for(lease.lost, 5)
                self.assertFalse(lease.held)

    async def test_a_block_whose_lease_is_released_right_before_its_end_ends_with_an_error(
        self,
    ) -> None:
        with self.assertRaisesRegex(LeaseLost, "not held any more"):
            async with self.ann.hold(self.name, ttl=60) as lease:
                self.assertEqual(await self.bob.release(self.name, lease.lease_id), "released")

    async def test_a_lease_is_acquired_renewed_and_released_by_unary_calls(self) -> None:
        granted = await self.ann.acquire(self.name, ttl=5)
        lease = granted.lease
        renewed = await self.ann.renew(self.name, lease.lease_id, ttl=20)
        self.assertGreater(renewed.deadline, granted.deadline)
        self.assertEqual([each.token async for each in self.bob.list(self.name)], [granted.token])
        self.assertEqual(await self.ann.release(self.name, lease.lease_id), "released")
        self.assertEqual(await self.ann.release(self.name, lease.lease_id), "not-held")
        with self.assertRaises(LeaseLost):
            await self.ann.renew(self.name, lease.lease_id)
        with self.assertRaises(InvalidField):
            await self.ann.acquire(" r")

    async def test_an_acquire_that_waited_has_its_whole_ttl(self) -> None:
        lease = await self.ann.hold(self.name)
        asking = asyncio.ensure_future(self.bob.acquire(self.name, ttl=5, wait=20))
        await asyncio.sleep(1)
        await lease.release()
        self.assertGreater((await asking).deadline - monotonic(), 4)

    async def test_closing_gives_up_what_is_waited_for_and_leaves_no_task(self) -> None:
        async with self.ann.hold(self.name):
            client = aio.connect([SERVER])
            queued = asyncio.Event()
            waiting = asyncio.ensure_future(self.begin(client, queued))
            await queued.wait()
            await client.close()
            with self.assertRaises(Cancelled):
                await waiting
            with self.assertRaises(Cancelled):
                await client.current(self.name)
        await self.ann.close()
        ours = [task for task in asyncio.all_tasks() if "stormlock_client" in repr(task)]
        self.assertEqual(ours, [])

    async def test_closing_that_is_cancelled_releases_all_the_same(self) -> None:
        client = aio.connect([SERVER])
        await client.hold(self.name)
        # As for what was given up, and whose daemon does not answer.
        client._farewells.add(asyncio.ensure_future(asyncio.sleep(60)))
        closing = asyncio.ensure_future(client.close())
        await asyncio.sleep(0)
        closing.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await closing
        async with self.bob.hold(self.name, wait=5):
            pass

    async def begin(self, client: aio.Client, queued: asyncio.Event) -> aio.Hold:
        return await client.hold(self.name, on_queued=lambda *_: queued.set())

    async def test_the_environment_says_where_and_who(self) -> None:
        said = {
            "STORMLOCK_SERVER": f"127.0.0.1:1,{SERVER}",
            "STORMLOCK_PRINCIPAL": "env",
            "STORMLOCK_TTL": "7s",
        }
        with mock.patch.dict(os.environ, said):
            async with aio.hold(self.name, wait=5) as lease:
                self.assertEqual(lease.lease.principal, "env")
                self.assertEqual(lease.lease.ttl, 7)


@needs_daemon
class TestLoop(unittest.TestCase):
    def test_nothing_is_kept_for_a_loop_that_has_ended(self) -> None:
        async def leave() -> aio.Hold:
            return await aio.connect([SERVER]).hold(f"aio/{uuid.uuid4().hex}", ttl=1)

        before = threading.active_count()
        lease = asyncio.run(leave())
        until = time.monotonic() + 5
        while threading.active_count() > before and time.monotonic() < until:
            time.sleep(0.05)
        self.assertLessEqual(threading.active_count(), before)
        self.assertEqual(lease.state, "LOST")


class TestNobody(unittest.IsolatedAsyncioTestCase):
    async def test_it_is_said_within_the_patience_that_nobody_can_be_reached(self) -> None:
        async with aio.connect(["127.0.0.1:1"], patience=1) as client:
            with self.assertRaises(Unreachable):
                await client.current("r")
            with self.assertRaises(Unreachable):
                await client.hold("r")

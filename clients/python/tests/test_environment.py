import os
import tempfile
import unittest
from typing import Dict
from unittest import mock

import stormlock_client
from stormlock_client import InvalidField, Tls, aio
from stormlock_client._environment import Settings, settled
from stormlock_client._seconds import parse_seconds

SERVER = {"STORMLOCK_SERVER": "127.0.0.1:1"}


class TestEnvironment(unittest.TestCase):
    def said(self, **variables: str) -> Settings:
        only = {f"STORMLOCK_{name}": value for name, value in variables.items()}
        with mock.patch.dict(os.environ, {**SERVER, **only}):
            return settled(None, None, None, 10.0)

    def test_a_ttl_is_a_duration_as_for_the_command_line(self) -> None:
        durations: Dict[str, float] = {
            "500ms": 0.5,
            "30s": 30,
            "1h30m": 5400,
            "1d": 86_400,
            "4 seconds": 4,
            "2 min": 120,
        }
        for text, seconds in durations.items():
            self.assertEqual(self.said(TTL=text).ttl, seconds, text)
        for text in ("60", "1.5s", "-1s", "0s", "s", "1s1s", "1s2m", "soon", "5 parsecs", "3\n4s"):
            self.assertIsNone(parse_seconds(text), text)
            with self.assertRaisesRegex(InvalidField, "STORMLOCK_TTL is .*: expected a whole"):
                self.said(TTL=text)
        self.assertIsNone(self.said(TTL="").ttl)

    def test_tls_needs_no_file_when_it_is_asked_for(self) -> None:
        self.assertIsNone(self.said().tls)
        self.assertIsNone(self.said(TLS="false").tls)
        self.assertEqual(self.said(TLS="true").tls, Tls())
        with tempfile.NamedTemporaryFile() as ca:
            ca.write(b"PEM")
            ca.flush()
            self.assertEqual(self.said(CA=ca.name).tls, Tls(b"PEM"))
            with self.assertRaisesRegex(InvalidField, "STORMLOCK_TLS is false"):
                self.said(CA=ca.name, TLS="false")
        with self.assertRaisesRegex(InvalidField, "expected true or false"):
            self.said(TLS="yes")

    def test_who_names_servers_says_the_rest_too(self) -> None:
        said = {**SERVER, "STORMLOCK_TTL": "soon", "STORMLOCK_TLS": "soon"}
        with mock.patch.dict(os.environ, said):
            settings = settled(["127.0.0.1:2"], None, None, 10.0)
        self.assertEqual((settings.ttl, settings.tls, settings.principal), (None, None, ""))


class TestFork(unittest.TestCase):
    def test_a_child_is_told_to_connect_again_even_if_a_lock_was_held_at_the_fork(self) -> None:
        client = stormlock_client.connect(["127.0.0.1:1"])
        self.addCleanup(client.close)
        with client._lock, mock.patch("os.getpid", return_value=os.getpid() + 1):
            for ask in (client.current, client.hold, client.acquire):
                with self.assertRaisesRegex(
                    stormlock_client.StormlockError, "connect again after a fork"
                ):
                    ask("r")
            client.close()  # does nothing: all of it is the parent's


class TestForkWithAsyncio(unittest.IsolatedAsyncioTestCase):
    async def test_a_child_is_told_to_connect_again(self) -> None:
        async with aio.connect(["127.0.0.1:1"]) as client:
            with mock.patch("os.getpid", return_value=os.getpid() + 1):
                for ask in (client.current, client.hold, client.acquire):
                    with self.assertRaisesRegex(
                        stormlock_client.StormlockError, "connect again after a fork"
                    ):
                        await ask("r")
                await client.close()

"""Where the daemon of these tests is: tests/python.test.ts starts it."""

import os
import unittest

SERVER = os.environ.get("STORMLOCK_TEST_SERVER", "")
#: A folder with ca.crt, ann.crt and ann.key, and a daemon that wants them.
TLS_SERVER = os.environ.get("STORMLOCK_TEST_TLS_SERVER", "")
TLS_FILES = os.environ.get("STORMLOCK_TEST_TLS_FILES", "")

#: The file of its embedded store.
STORE = os.environ.get("STORMLOCK_TEST_STORE", "")

needs_daemon = unittest.skipIf(SERVER == "", "needs a daemon: STORMLOCK_TEST_SERVER")

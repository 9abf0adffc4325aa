"""Generated from proto/stormlock/v1/lock.proto by tools/generate.py."""

"""Makes src/stormlock_client/_gen of proto/; with --check, tells whether it is what proto/ says.

protoc and its Python plugin come with the pinned grpcio-tools: nothing is fetched. It runs in the
environment that the tests make, build/venv.
"""

import sys
import tempfile
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent.parent
PROTO = HERE.parent.parent / "proto"
KEPT = HERE / "src" / "stormlock_client" / "_gen"
NAMES = ("lock_pb2.py", "lock_pb2.pyi")


def generate() -> dict[str, str]:
    """What protoc makes of the .proto now, by file name."""
    # Its name in protobuf's registry stays stormlock/v1/lock.proto, so that a program may have
    # stubs of its own beside ours; only the files move into our package.
    with tempfile.TemporaryDirectory() as out:
        code = protoc.main(
            [
                "protoc",
                f"-I{PROTO}",
                f"-I{resources.files('grpc_tools') / '_proto'}",
                f"--python_out={out}",
                f"--pyi_out={out}",
                "stormlock/v1/lock.proto",
            ]
        )
        if code != 0:
            raise SystemExit(f"protoc has ended with {code}")
        return {name: (Path(out) / "stormlock" / "v1" / name).read_text() for name in NAMES}


def main() -> int:
    fresh = generate()
    if "--check" in sys.argv[1:]:
        stale = [
            name
            for name, text in fresh.items()
            if not (KEPT / name).is_file() or (KEPT / name).read_text() != text
        ]
        if stale:
            names = ", ".join(stale)
            print(f"not what proto/ says: {names}; run npm run generate:python")
            return 1
        return 0
    for name, text in fresh.items():
        (KEPT / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the environment says, by the command line's variables; an empty one is not set."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass
from typing import List, Optional, Sequence, Union

from ._address import Address, Tls, parse_addresses
from ._errors import InvalidField
from ._seconds import FORM, parse_seconds


@dataclass(frozen=True)
class Settings:
    """What a client is made with."""

    addresses: List[Address]
    tls: Optional[Tls]
    #: Who asks, unless a call says otherwise.
    principal: str
    #: Seconds that a lease lives, unless a call says otherwise; None is the server's default.
    ttl: Optional[float]
    #: Seconds to go on asking when there is no definite answer.
    patience: float


def settled(
    servers: Union[str, Sequence[str], None],
    tls: Optional[Tls],
    principal: Optional[str],
    patience: float,
) -> Settings:
    """Only who names no servers asks the environment at all."""
    ttl = None
    if servers is None:
        servers = servers_from_environment()
        tls = tls_from_environment() if tls is None else tls
        principal = principal_from_environment() if principal is None else principal
        ttl = ttl_from_environment()
    return Settings(parse_addresses(servers), tls, principal or "", ttl, patience)


def servers_from_environment() -> str:
    servers = os.environ.get("STORMLOCK_SERVER", "")
    if servers == "":
        raise InvalidField(
            "no server is given: name the daemons, or set STORMLOCK_SERVER, e.g. 127.0.0.1:7420",
            "servers",
        )
    return servers


def tls_from_environment() -> Optional[Tls]:
    """The files of STORMLOCK_CA, STORMLOCK_CERT and STORMLOCK_KEY; STORMLOCK_TLS needs none."""
    said = os.environ.get("STORMLOCK_TLS", "")
    if said not in ("", "true", "false"):
        raise InvalidField(f"STORMLOCK_TLS is {said!r}: expected true or false", "STORMLOCK_TLS")
    ca, cert, key = (_file(f"STORMLOCK_{name}") for name in ("CA", "CERT", "KEY"))
    has_files = ca is not None or cert is not None or key is not None
    if has_files and said == "false":
        raise InvalidField(
            "STORMLOCK_TLS is false: expected true, or none of STORMLOCK_CA, STORMLOCK_CERT and "
            "STORMLOCK_KEY beside it",
            "STORMLOCK_TLS",
        )
    return Tls(ca, cert, key) if has_files or said == "true" else None


def ttl_from_environment() -> Optional[float]:
    """Seconds of STORMLOCK_TTL, which is a duration such as 90s."""
    said = os.environ.get("STORMLOCK_TTL", "")
    if said == "":
        return None
    ttl = parse_seconds(said)
    if ttl is None:
        raise InvalidField(f"STORMLOCK_TTL is {said!r}: expected {FORM}", "STORMLOCK_TTL")
    return ttl


def principal_from_environment() -> str:
    """STORMLOCK_PRINCIPAL, else user@host."""
    said = os.environ.get("STORMLOCK_PRINCIPAL", "")
    if said != "":
        return said
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user has no name
        user = f"uid-{os.getuid()}" if hasattr(os, "getuid") else "somebody"
    return f"{user}@{socket.gethostname()}"


def _file(variable: str) -> Optional[bytes]:
    path = os.environ.get(variable, "")
    if path == "":
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InvalidField(f"{variable}: {error}", variable) from error

"""What the environment says, by the command line's variables; an empty one is not set."""

from __future__ import annotations

import getpass
import os
import socket
from typing import List, Optional, Sequence, Tuple, Union

from ._address import Address, Tls, parse_addresses
from ._errors import InvalidField


def settled(
    servers: Union[str, Sequence[str], None], tls: Optional[Tls], principal: Optional[str]
) -> Tuple[List[Address], Optional[Tls], str]:
    """What a client is made with. Only who names no servers asks the environment at all."""
    if servers is None:
        servers = servers_from_environment()
        tls = tls_from_environment() if tls is None else tls
        principal = principal_from_environment() if principal is None else principal
    return parse_addresses(servers), tls, principal or ""


def servers_from_environment() -> str:
    servers = os.environ.get("STORMLOCK_SERVER", "")
    if servers == "":
        raise InvalidField(
            "no server is given: name the daemons, or set STORMLOCK_SERVER, e.g. 127.0.0.1:7420",
            "servers",
        )
    return servers


def tls_from_environment() -> Optional[Tls]:
    """The files of STORMLOCK_CA, STORMLOCK_CERT and STORMLOCK_KEY."""
    ca, cert, key = (_file(f"STORMLOCK_{name}") for name in ("CA", "CERT", "KEY"))
    return None if ca is None and cert is None and key is None else Tls(ca, cert, key)


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

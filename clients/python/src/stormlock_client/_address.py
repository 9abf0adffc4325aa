"""Addresses of daemons, and what a connection to one is made with."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple, Union

import grpc

from ._errors import InvalidField

DEFAULT_PORT = 7420
FORM = "HOST, HOST:PORT, [IPV6]:PORT or unix:/PATH"

# A page of the longest names with all their labels.
MOST_ANSWER_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Tls:
    """What a client needs to speak TLS, as PEM."""

    #: Who signs the daemons' certificates. Without it gRPC's own list of authorities counts.
    ca: Optional[bytes] = None
    #: The own certificate and its key: both or none.
    cert: Optional[bytes] = None
    key: Optional[bytes] = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            field = "cert" if self.cert is None else "key"
            raise InvalidField("give both cert and key, or neither: each needs the other", field)


@dataclass(frozen=True)
class Address:
    #: As gRPC has it.
    target: str
    #: As people write it.
    text: str
    is_unix: bool
    is_loopback: bool


def parse_addresses(servers: Union[str, Sequence[str]]) -> List[Address]:
    """Reads addresses, several in one string having commas between them. Raises InvalidField."""
    texts = servers.split(",") if isinstance(servers, str) else list(servers)
    addresses = [parse_address(text.strip()) for text in texts]
    if not addresses:
        raise InvalidField(f"no server address is given: expected {FORM}", "servers")
    return addresses


def parse_address(text: str) -> Address:
    if text.startswith("unix:"):
        path = re.sub("^/{2,}", "/", text[len("unix:") :])
        if path == "" or "\0" in path:
            raise InvalidField(f"server {text!r} is no address: expected unix:/PATH", "servers")
        return Address(f"unix:{path}", f"unix:{path}", is_unix=True, is_loopback=True)
    bracketed = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?", text)
    plain = re.fullmatch(r"([A-Za-z0-9._-]+)(?::([0-9]{1,5}))?", text)
    match = bracketed or plain
    port = int(match[2] or DEFAULT_PORT) if match else 0
    if match is None or not 0 < port < 65_536 or (bracketed and not _is_ip(match[1])):
        raise InvalidField(f"server {text!r} is no address: expected {FORM}", "servers")
    host = f"[{match[1]}]" if bracketed else match[1]
    where = f"{host}:{port}"
    return Address(f"dns:///{where}", where, is_unix=False, is_loopback=_is_loopback(match[1]))


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


# A name other than localhost is never taken for this machine, whatever it may resolve to now.
def _is_loopback(host: str) -> bool:
    if not _is_ip(host):
        return host.lower() == "localhost"
    ip = ipaddress.ip_address(host)
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def open_channel(address: Address, tls: Optional[Tls]) -> grpc.Channel:
    """It connects when it is first used."""
    credentials = credentials_for(address, tls)
    if credentials is None:
        return grpc.insecure_channel(address.target, channel_options(address))
    return grpc.secure_channel(address.target, credentials, channel_options(address))


def channel_options(address: Address) -> List[Tuple[str, Union[int, str]]]:
    options: List[Tuple[str, Union[int, str]]] = [
        # gRPC would double its pause up to two minutes: a daemon that restarts is back within 1 s.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
        # Its name for how long a connection may take to come about.
        ("grpc.min_reconnect_backoff_ms", 3000),
        ("grpc.dns_min_time_between_resolutions_ms", 1000),
        # A call that waits in a queue has no other sign of life.
        ("grpc.keepalive_time_ms", 5000),
        ("grpc.keepalive_timeout_ms", 5000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.max_receive_message_length", MOST_ANSWER_BYTES),
        # Who retries must keep the lease id: that is this client's affair, not gRPC's.
        ("grpc.enable_retries", 0),
        # Who leaves a stream must not get the next one on the same frozen connection.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.service_config_disable_resolution", 1),
    ]
    # http_proxy is obeyed even for this very machine, where no proxy can lead.
    if address.is_loopback:
        options.append(("grpc.enable_http_proxy", 0))
    return options


def credentials_for(address: Address, tls: Optional[Tls]) -> Optional[grpc.ChannelCredentials]:
    """None means plain text. A unix socket has no TLS on the other side either."""
    if tls is None or address.is_unix:
        return None
    return grpc.ssl_channel_credentials(tls.ca, tls.key, tls.cert)

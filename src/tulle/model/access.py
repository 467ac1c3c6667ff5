"""What the node's proxy tells of a request: an entry of its access log, as a plain value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .world import IPAddress

# How the names of routes begin that stand for no rule of the user's: the rest says which of them
# deny a request, or would if they were not in audit mode.
DENIED, AUDITED = "denied by ", "audited by "


class Socket(NamedTuple):
    """One end of a connection."""

    address: IPAddress
    port: int


@dataclass(frozen=True, slots=True)
class Request:
    """As the client sent it, before any rewrite."""

    method: str
    scheme: str  # "http", "https"
    authority: str
    path: str  # with its query
    protocol: str  # "HTTP/1.1", "HTTP/2", "HTTP/3"
    id: str = ""


@dataclass(frozen=True, slots=True)
class Opening:
    """What the first bytes of a connection say whose requests nobody reads."""

    protocol: str  # "TLS", "HTTP/2"
    server_name: str = ""  # SNI
    alpn: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Access:
    """A request that was served, or with `request` None a connection that was passed on.

    `source` is the client's end, `asked` the one that it connected to, `backend` the one that the
    proxy spoke to at last, None if to nobody. `rule` is the `id` of a `Rule` of `model.routing`, or
    "". `flags` are Envoy's response flags in their short form ("UF", "UH", "URX", …), `details` its
    response code details. `denied_by` names the policy and rule that refused it, `audited_by` those
    that would have if they were not in audit mode.
    """

    time_ns: int  # CLOCK_REALTIME, when it began
    duration_ns: int  # to the last byte of the answer
    source: Socket
    asked: Socket
    backend: Socket | None = None
    request: Request | None = None
    status: int = 0  # 0: the client got no answer
    front: str = ""  # name of the listener
    rule: str = ""
    flags: tuple[str, ...] = ()
    details: str = ""
    attempts: int = 1
    denied_by: str = ""
    audited_by: str = ""
    kernel: bool = False  # it judged or saw it, and no proxy: `duration_ns` is to the first byte
    opening: Opening | None = None
    grpc_status: int | None = None  # of its trailer, where the kernel has seen it
    bytes_in: int = 0  # of bodies, from the client
    bytes_out: int = 0


class Told(Protocol):
    """An entry as it came: most are never asked for, and decoding costs more than keeping them."""

    def access(self) -> Access: ...

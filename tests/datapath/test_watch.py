"""What packets of connections say that nobody judges: TLS as it is, HTTP/1 by the reference."""

from __future__ import annotations

import os
import random
import ssl
from collections.abc import Iterator
from struct import pack

import pytest

from tests.datapath import frames
from tests.datapath.http_reference import Head, read
from tests.datapath.kernel import Kernel
from tests.datapath.streams import mutated, request
from tests.datapath.watched import Wire, counted, events_of, watching
from tulle import abi
from tulle.abi import HttpLimit, TalkKind

SEED = int(os.environ.get("TULLE_WATCH_SEED", "1"))
CONNECTIONS = int(os.environ.get("TULLE_WATCH_CONNECTIONS", "500"))
SERVER_NAME, GROUPS, PROTOCOLS, PADDING, KEY_SHARE = 0, 10, 16, 21, 51
PROBE = b"GET /next HTTP/1.1\r\nHost: w\r\n\r\n"
ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with watching("watch") as made:
        yield made


def sized(data: bytes, size: int = 2) -> bytes:
    return len(data).to_bytes(size, "big") + data


def by_openssl(name: str, protocols: list[str]) -> bytes:
    context = ssl.create_default_context()
    if protocols:
        context.set_alpn_protocols(protocols)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def by_hand(draw: random.Random, name: str, protocols: list[str]) -> bytes:
    """As browsers send it: extensions in any order, and a key share of 1.2 KB among them."""
    listed = b"".join(sized(item.encode(), 1) for item in protocols)
    extensions = [
        (SERVER_NAME, sized(b"\0" + sized(name.encode()))),
        (KEY_SHARE, sized(pack("!H", 0x11EC) + sized(bytes(1216)))),
        (GROUPS, sized(b"\x11\xec\0\x1d")),
        (PADDING, bytes(draw.choice((0, 7, 500)))),
        (0x0A0A, b""),
    ]
    if protocols:
        extensions.append((PROTOCOLS, sized(listed)))
    draw.shuffle(extensions)
    body = b"\x03\x03" + draw.randbytes(32) + sized(draw.randbytes(draw.choice((0, 32))), 1)
    body += sized(bytes(2 * draw.randint(1, 20))) + sized(b"\0", 1)
    body += sized(b"".join(pack("!H", kind) + sized(data) for kind, data in extensions))
    return b"\x16\x03\x01" + sized(b"\x01" + sized(body, 3))


def test_tls_tells_name_and_protocols_however_its_hello_is_cut(kernel: Kernel) -> None:
    draw = random.Random(SEED)
    for number in range(150):
        name = draw.choice(("web.shop", "w" * 60 + ".org", "x" * 62 + ".org"))
        protocols = draw.choice(([], ["h2"], ["h2", "http/1.1"]))
        hello = by_hand(draw, name, protocols) if number % 3 else by_openssl(name, protocols)
        wire = Wire(kernel, 1024 + number)
        lost = number % 10 == 9
        wire.say(draw, "client", hello + b"\x17\x03\x03\x00\x02ab", 0.5 * lost, whole=16)
        wire.end()
        [event] = events_of(kernel)
        assert event.kind == TalkKind.TLS
        told = event.host[: event.host_length], event.path[: event.path_length]
        kept = name.encode() if len(name) <= HttpLimit.HOST_KEPT else b""
        listed = b"".join(sized(item.encode(), 1) for item in protocols)
        if lost:
            assert told[0] in (kept, b"") and told[1] in (listed, b""), (number, told)
        else:
            assert told == (kept, listed), (number, told)


def _turns(draw: random.Random) -> Iterator[tuple[bytes, tuple[Head, ...], bool]]:
    """What a client sends before it waits, the heads in it, and whether all is sound."""
    for _ in range(draw.randint(1, 4)):
        data = b"".join(request(draw) for _ in range(draw.choice((1, 1, 1, 2))))
        if draw.random() < 0.2:
            data = mutated(draw, data)
        found, behind = read(data), read(data + PROBE).heads
        sound = found.ended == len(found.heads) > 0 and behind == (*found.heads, *read(PROBE).heads)
        yield data, found.heads, sound
        if not sound:
            return


def _is_of(event: abi.HttpEvent, head: Head) -> bool:
    target, host = head.target[: HttpLimit.PATH_KEPT], head.host[: HttpLimit.HOST_KEPT]
    return (
        event.method[: event.method_length] == head.method
        and (event.path[: event.path_length], event.path_length) == (target, len(head.target))
        and event.host[: event.host_length] == host
    )


def test_requests_are_told_of_as_they_were_sent_and_once(kernel: Kernel) -> None:
    """TULLE_WATCH_CONNECTIONS with a seed of the day makes a night's run.

    Of one that cannot be read nothing is compared; behind a late segment, some may be missing.
    """
    draw = random.Random(SEED)
    told = answered = total = 0
    for number in range(CONNECTIONS):
        wire, late = Wire(kernel, 2048 + number % 60000), draw.choice((0, 0, 0.1))
        heads: list[Head] = []
        single, odd = True, False
        with counted(kernel) as classes:
            for data, some, sound in _turns(draw):
                heads += some
                single &= len(some) == 1
                odd = not sound
                wire.say(draw, "client", data, late)
                if sound:
                    wire.say(draw, "server", ANSWER * len(some), whole=len(ANSWER))
            wire.end()
        where = (SEED, number, heads, classes)
        if not late:
            assert len(heads) <= sum(classes) <= len(heads) + odd, where
        if not late and single and not odd:
            assert classes[2] == len(heads), where
        answered += classes[2]
        left = list(heads)
        total += len(heads)
        for event in events_of(kernel):
            if event.refusal:
                continue
            found = next((item for item in left if _is_of(event, item)), None)
            assert found, (where, event)
            # In the order of their coming, each once.
            del left[: left.index(found) + 1]
            told += 1
    assert told > total / 4 > 0 and answered > total / 3


def test_an_end_from_the_server_ends_what_waits(kernel: Kernel) -> None:
    wire = Wire(kernel, 1000)
    with counted(kernel) as classes:
        wire.say(random.Random(SEED), "client", b"GET /a HTTP/1.1\r\nHost: w\r\n\r\n")
        wire.send("server", 0, b"", frames.RST)
    assert classes == [1, 0, 0, 0, 0, 0, 0]

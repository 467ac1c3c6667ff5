"""What a denied sender is told where a policy says `reject`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.datapath.frames import ACK, FIN, IPV4, IPV6, RST, SYN, TCP, UDP, UNREACHABLE, tcp
from tests.datapath.programs import (
    REDIRECT,
    SHOT,
    Node,
    Place,
    both,
    ends,
    frame,
    inner_ends,
    node_of,
    raw,
    read,
    segment,
)
from tulle import abi
from tulle.abi import Action, EndpointFlag, PolicyPrefix

SET = 77


@pytest.fixture(scope="module")
def kept() -> Iterator[Node]:
    with node_of("answers") as node:
        yield node


@pytest.fixture
def node(kept: Node) -> Iterator[Node]:
    kept.forget()
    yield kept


def deny(node: Node, place: Place, action: Action) -> None:
    """All ingress and egress of the local workload."""
    endpoint = abi.Endpoint(1, 300, EndpointFlag.WORKLOAD, 77, SET, SET)
    node.maps["endpoints"][raw(place.local)] = endpoint.pack()
    key = abi.PolicyKey(PolicyPrefix.ANY, SET)
    node.maps["policy"][key.pack()] = abi.PolicyEntry(400, action).pack()


@both
@pytest.mark.parametrize("program", ["from_workload", "from_uplink"])
def test_a_denied_syn_is_reset(node: Node, place: Place, program: str) -> None:
    deny(node, place, Action.REJECT)
    near, far = place.local, place.outside
    src, dst = (near, far) if program == "from_workload" else (far, near)
    action, out = node.run(program, frame(src, dst, TCP, tcp(4000, 80, SYN, seq=1000)))
    seen = read(out)
    assert (action, ends(seen), seen.checked) == (REDIRECT, (dst, 80, src, 4000), True)
    assert seen.payload[13] == RST | ACK
    assert int.from_bytes(seen.payload[8:12], "big") == 1001
    assert len(seen.payload) == 20


@both
def test_a_reset_in_mid_stream_has_the_number_that_is_awaited(node: Node, place: Place) -> None:
    deny(node, place, Action.REJECT)
    body = tcp(4000, 80, ACK | FIN, seq=1000)
    body = body[:8] + (777).to_bytes(4, "big") + body[12:]
    _, out = node.run("from_workload", frame(place.local, place.outside, TCP, body))
    seen = read(out)
    assert (seen.payload[13], int.from_bytes(seen.payload[4:8], "big")) == (RST, 777)
    assert seen.checked


@both
def test_a_reset_is_not_answered(node: Node, place: Place) -> None:
    deny(node, place, Action.REJECT)
    action, _ = node.run("from_workload", frame(place.local, place.outside, TCP, tcp(1, 2, RST)))
    assert action == SHOT


@both
@pytest.mark.parametrize("program", ["from_workload", "from_uplink"])
def test_a_denied_datagram_is_prohibited(node: Node, place: Place, program: str) -> None:
    deny(node, place, Action.REJECT)
    near, far = place.local, place.outside
    src, dst = (near, far) if program == "from_workload" else (far, near)
    action, out = node.run(program, frame(src, dst, UDP, segment(UDP, 4000, 53)))
    seen = read(out)
    assert (action, seen.src, seen.dst, seen.checked) == (REDIRECT, dst, src, True)
    kind = (UNREACHABLE, 13) if ":" not in near else (1, 1)
    assert (seen.payload[0], seen.payload[1]) == kind
    assert out[12:14] == (IPV4 if ":" not in near else IPV6).to_bytes(2, "big")
    assert inner_ends(bytes(14) + seen.payload[8:]) == (src, 4000, dst, 53)


@both
def test_what_is_only_denied_gets_no_answer(node: Node, place: Place) -> None:
    deny(node, place, Action.DENY)
    action, _ = node.run("from_workload", frame(place.local, place.outside, TCP, tcp(1, 2, SYN)))
    assert action == SHOT

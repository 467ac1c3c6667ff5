"""Hostile frames on the wire between nodes: who may say what there, and what it costs others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.datapath.frames import (
    ACK,
    DEST_OPTIONS,
    IPV4,
    IPV6,
    RST,
    SYN,
    TCP,
    UDP,
    ether,
    fragment6,
    icmp,
    ipv4,
    ipv6,
    options6,
    tcp,
    udp,
)
from tests.datapath.programs import (
    FRAGMENT,
    PLACES,
    PORT,
    REDIRECT,
    SHOT,
    XDP_PASS,
    Node,
    Place,
    both,
    ends,
    frame,
    node_of,
    raw,
    read,
    segment,
)
from tulle import abi
from tulle.abi import Action, EndpointFlag, Identity, NatFlag, NodeFlag, PolicyPrefix, Reason

OK = 0
SET = 77
OVERLAY_PORT = 8472
HOUR_NS = 3600 * 10**9
STRANGER = b"\x02\x00\x00\x00\x00\x07"
NEIGHBOUR_SOLICITATION = 135
HOSTS = (PLACES[4].node, PLACES[6].node)


@pytest.fixture(scope="module")
def kept() -> Iterator[Node]:
    with node_of("wirenodes") as node:
        yield node


@pytest.fixture
def node(kept: Node) -> Iterator[Node]:
    kept.forget()
    yield kept


def datagram(src: str, dst: str, dport: int = 53) -> bytes:
    return frame(src, dst, UDP, segment(UDP, 4000, dport))


def in_pieces(src: str, dst: str, body: bytes, at: int, protocol: int = TCP) -> list[bytes]:
    """Two fragments, cut at that byte of the transport."""
    pieces = ((0, body[:at], True), (at, body[at:], False))
    if ":" in src:
        parts = [fragment6(protocol, data, offset=start, more=more) for start, data, more in pieces]
        return [ether(ipv6(src, dst, FRAGMENT, part), IPV6) for part in parts]
    return [
        ether(ipv4(src, dst, protocol, data, offset=start, more=more), IPV4)
        for start, data, more in pieces
    ]


@pytest.fixture
def guarded(node: Node) -> Iterator[Node]:
    """A policy selects the node itself, and lets nobody in."""
    for place in HOSTS:
        endpoint = abi.Endpoint(0, Identity.HOST, EndpointFlag.HOST, 0, SET)
        node.maps["endpoints"][raw(place)] = endpoint.pack()
    key = abi.PolicyKey(PolicyPrefix.ANY, SET)
    node.maps["policy"][key.pack()] = abi.PolicyEntry(400, Action.DENY).pack()
    yield node
    for place in HOSTS:
        endpoint = abi.Endpoint(0, Identity.HOST, EndpointFlag.HOST)
        node.maps["endpoints"][raw(place)] = endpoint.pack()


@both
@pytest.mark.parametrize("dport", [53, OVERLAY_PORT, PORT])
def test_who_lives_here_does_not_come_by_the_uplink(node: Node, place: Place, dport: int) -> None:
    """Wherever it goes: the node would route it on, and vouch for it in the overlay."""
    node.serve(place.remote)
    for src in (place.local, place.node):
        for dst in (place.local, place.node, place.remote, place.outside):
            forged = datagram(src, dst, dport)
            assert node.reason("from_uplink", forged) == Reason.SPOOFED_SOURCE, (src, dst)
            assert node.run("from_device", forged) == (XDP_PASS, forged)
    assert list(node.maps["nat"].items()) == []


@both
def test_who_lives_elsewhere_comes_by_the_overlay_where_there_is_one(
    node: Node, place: Place
) -> None:
    unassigned = place.remote + ("9" if ":" not in place.remote else "99")
    width = 128
    entry = abi.IpcacheEntry(Identity.UNMANAGED, node=raw(place.other))
    node.maps["ipcache"][abi.IpcacheKey(width, raw(unassigned)).pack()] = entry.pack()
    try:
        for src in (place.remote, unassigned):
            action, _ = node.run("from_uplink", datagram(src, place.local))
            assert action == REDIRECT
            node.set_state(NodeFlag.VXLAN)
            # of the connection that the packet before has opened, too
            for dst, dport in ((place.local, 53), (place.local, OVERLAY_PORT), (place.outside, 53)):
                forged = datagram(src, dst, dport)
                assert node.reason("from_uplink", forged) == Reason.SPOOFED_SOURCE, (src, dst)
            node.set_state()
    finally:
        node.maps["ipcache"].delete_many([abi.IpcacheKey(width, raw(unassigned)).pack()])


@both
def test_frames_for_other_stations_are_left_alone(node: Node, place: Place) -> None:
    """Switches flood what they do not know, and a device may listen to all."""
    node.serve(place.local)
    for dst, dport in ((place.local, 53), (place.node, PORT)):
        flooded = STRANGER + datagram(place.client, dst, dport)[6:]
        assert node.run("from_uplink", flooded) == (OK, flooded)
    assert list(node.maps["nat"].items()) == list(node.maps["conntrack"].items()) == []


@both
def test_a_guarded_node_is_not_reached_in_pieces(guarded: Node, place: Place) -> None:
    """Its stack would put them together."""
    first, later = in_pieces(place.client, place.node, tcp(4000, 22), 8)
    assert guarded.reason("from_uplink", first) == Reason.MALFORMED
    assert guarded.reason("from_uplink", later) == Reason.FRAGMENT_UNTRACKED


def test_a_guarded_node_is_not_reached_behind_options(guarded: Node) -> None:
    packet, following = udp(4000, 53, b"hidden"), UDP
    for _ in range(8):
        packet, following = options6(following, packet), DEST_OPTIONS
    hidden = ether(ipv6("2001:db8:1::7", PLACES[6].node, following, packet), IPV6)
    assert guarded.reason("from_uplink", hidden) == Reason.UNSUPPORTED_PROTOCOL


def test_a_guarded_node_answers_whether_it_is_there(guarded: Node) -> None:
    """A neighbour asks again by the address itself (RFC 4861, 7.3.1)."""
    target = raw(PLACES[6].node)
    asked = icmp(NEIGHBOUR_SOLICITATION, target)
    action, _ = guarded.run("from_uplink", frame("2001:db8::2", PLACES[6].node, 58, asked))
    assert action == OK


@both
def test_nobody_gets_resets_written_by_others(node: Node, place: Place) -> None:
    """In a later fragment the sender's data stands where ports and numbers would."""
    endpoint = abi.Endpoint(1, 300, EndpointFlag.WORKLOAD, 77, SET)
    open_again = abi.Endpoint(1, 300, EndpointFlag.WORKLOAD, 77)
    key = abi.PolicyKey(PolicyPrefix.ANY, SET)
    node.maps["policy"][key.pack()] = abi.PolicyEntry(400, Action.REJECT).pack()
    node.maps["endpoints"][raw(place.local)] = endpoint.pack()
    try:
        body = tcp(4000, 80, words=6) + bytes(4) + tcp(4001, 443, ACK)
        first, later = in_pieces(place.client, place.local, body, 24)
        node.run("from_uplink", first)
        action, _ = node.run("from_uplink", later)
        assert action == SHOT
    finally:
        node.maps["endpoints"][raw(place.local)] = open_again.pack()


@both
def test_every_node_takes_a_hop_off(node: Node, place: Place) -> None:
    """Two services on two nodes, each with the other as backend, would go round for ever."""
    node.set_state(NodeFlag.VXLAN)
    node.serve(place.remote)
    asked = bytearray(datagram(place.client, place.node, PORT))
    at = 22 if ":" not in place.node else 21
    action, out = node.run("from_uplink", bytes(asked))
    assert (action, out[at], read(out).checked) == (REDIRECT, 63, True)
    dying = ipv4(place.client, place.node, UDP, udp(4000, PORT)) if at == 22 else None
    packet = bytearray(dying or ipv6(place.client, place.node, UDP, udp(4000, PORT)))
    packet[at - 14] = 1
    dying_frame = ether(bytes(packet), IPV4 if at == 22 else IPV6)
    assert node.reason("from_uplink", dying_frame) == Reason.NO_ROUTE


@both
def test_what_a_service_does_not_serve_is_not_routed_on(node: Node, place: Place) -> None:
    """The node's default route would lead it out again, and its router back."""
    key = abi.IpcacheKey(128, raw(place.outside)).pack()
    node.maps["ipcache"][key] = abi.IpcacheEntry(Identity.SERVICE).pack()
    inside = abi.Service(6, 0, internal=abi.Table(9, 1))
    node.maps["services"][abi.ServiceKey(raw(place.outside), 80, TCP).pack()] = inside.pack()
    try:
        for dport in (80, 81):
            asked = frame(place.client, place.outside, TCP, segment(TCP, 4000, dport))
            assert node.reason("from_uplink", asked) == Reason.NO_SERVICE_PORT
    finally:
        node.maps["ipcache"].delete_many([key])


@both
def test_no_workload_takes_what_others_open_to_the_node(node: Node, place: Place) -> None:
    """A port that it got for its own way out may be one that the node serves."""
    left = frame(place.local, place.client, TCP, segment(TCP, 4000, 5555))
    _, out = node.run("from_workload", left)
    port = read(out).sport
    opened = frame(place.client, place.node, TCP, segment(TCP, 5555, port, SYN))
    assert node.run("from_uplink", opened) == (OK, opened)
    answer = frame(place.client, place.node, TCP, segment(TCP, 5555, port, SYN | ACK))
    action, out = node.run("from_uplink", answer)
    assert (action, ends(read(out))) == (REDIRECT, (place.client, 5555, place.local, 4000))


def age(node: Node, ns: int) -> None:
    for key, value in list(node.maps["nat"].items()):
        entry = abi.NatEntry.unpack(value)
        # wraps as the kernel's own arithmetic does: the machine may be up for less than that
        old = entry._replace(last_seen_ns=(entry.last_seen_ns - ns) % 2**64)
        node.maps["nat"][key] = old.pack()


def ask(node: Node, place: Place, sport: int, flags: int = SYN) -> bool:
    """Whether the connection has a port of the node's."""
    node.run("from_uplink", frame(place.client, place.node, TCP, segment(TCP, sport, PORT, flags)))
    key = abi.NatKey(raw(place.client), raw(place.node), sport, PORT, TCP).pack()
    return key in dict(node.maps["nat"].items())


@both
def test_ports_are_not_kept_for_who_never_goes_on(node: Node, place: Place) -> None:
    """A flood of SYNs took all of them for a day."""
    node.serve(place.remote)
    node.set_state(ports=(2000, 2000))
    assert ask(node, place, 4000)
    assert not ask(node, place, 4001)
    age(node, 61 * 10**9)
    assert ask(node, place, 4001)
    ask(node, place, 4001, ACK)
    age(node, HOUR_NS)
    assert not ask(node, place, 4002)


@both
def test_a_reset_frees_the_port_though_nobody_answers_it(node: Node, place: Place) -> None:
    node.serve(place.remote)
    node.set_state(ports=(2000, 2000))
    ask(node, place, 4000)
    ask(node, place, 4000, ACK)
    ask(node, place, 4000, RST)
    flags = [abi.NatEntry.unpack(value).flags for _, value in node.maps["nat"].items()]
    assert len(flags) == 2
    assert all(item & NatFlag.RST for item in flags)
    age(node, 61 * 10**9)
    assert ask(node, place, 4001)


@both
def test_nobody_leaves_by_the_overlays_port(node: Node, place: Place) -> None:
    """Answers would be the overlay's, and what a workload sends could pass for a node's."""
    node.set_state(ports=(OVERLAY_PORT, OVERLAY_PORT))
    asked = datagram(place.local, place.outside)
    assert node.reason("from_workload", asked) == Reason.NAT_PORTS_EXHAUSTED


def test_what_is_cut_up_does_not_leave_as_a_workload(node: Node) -> None:
    """The stack cuts up what does not fit; it knows of no masquerade."""
    node.ip("route add 203.0.113.80 dev lo mtu lock 600")
    try:
        body = udp(4000, 53, bytes(800))
        large = ether(ipv4("10.244.0.5", "203.0.113.80", UDP, body), IPV4)
        assert node.reason("from_workload", large) == Reason.NAT_UNSUPPORTED
        told = bytearray(large)
        told[20] |= 0x40  # don't fragment: the stack tells the workload
        action, _ = node.run("from_workload", bytes(told))
        assert action == OK
    finally:
        node.ip("route del 203.0.113.80")

"""What translation makes of packets, byte for byte: every checksum holds, every way leads back."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from struct import pack

import pytest

from tests.datapath.frames import (
    ACK,
    FIN,
    IPV4,
    IPV6,
    SYN,
    TCP,
    UDP,
    UNREACHABLE,
    ether,
    fragment6,
    icmp,
    ipv4,
    ipv6,
    udp,
)
from tests.datapath.programs import (
    FRAGMENT,
    PORT,
    REDIRECT,
    XDP_PASS,
    XDP_TX,
    Node,
    Place,
    Seen,
    both,
    ends,
    frame,
    inner_ends,
    node_of,
    node_port,
    protocols,
    raw,
    read,
    segment,
    summed,
)
from tulle import abi
from tulle.abi import Identity, IpcacheFlag, NodeFlag, Reason, ServiceFlag


@pytest.fixture(scope="module")
def kept() -> Iterator[Node]:
    with node_of("translation") as node:
        yield node


@pytest.fixture
def node(kept: Node) -> Iterator[Node]:
    kept.forget()
    yield kept


@both
@protocols
def test_a_node_port_to_a_local_backend_keeps_the_client(
    node: Node, place: Place, protocol: int
) -> None:
    node.serve(place.local)
    asked = frame(place.client, place.node, protocol, segment(protocol, 4000, PORT))
    action, out = node.run("from_uplink", asked)
    assert (action, ends(read(out))) == (REDIRECT, (place.client, 4000, place.local, 8080))
    assert read(out).checked
    answer = frame(place.local, place.client, protocol, segment(protocol, 8080, 4000, SYN | ACK))
    _, out = node.run("from_workload", answer)
    assert ends(read(out)) == (place.node, PORT, place.client, 4000)
    assert read(out).checked


@both
@protocols
@pytest.mark.parametrize("program", ["from_uplink", "from_device"])
def test_a_node_port_to_a_remote_backend_speaks_for_the_client(
    node: Node, place: Place, protocol: int, program: str
) -> None:
    node.serve(place.remote)
    asked = frame(place.client, place.node, protocol, segment(protocol, 4000, PORT))
    action, out = node.run(program, asked)
    seen = read(out)
    assert action == (REDIRECT if program == "from_uplink" else XDP_TX)
    assert (seen.src, seen.dst, seen.dport) == (place.node, place.remote, 8080)
    assert 1024 <= seen.sport <= 29999
    assert seen.checked
    answer = frame(place.remote, place.node, protocol, segment(protocol, 8080, seen.sport, ACK))
    for way in ("from_uplink", "from_device"):  # both know each other's translations
        _, out = node.run(way, answer)
        assert ends(read(out)) == (place.node, PORT, place.client, 4000)
        assert read(out).checked


@both
def test_what_stays_here_passes_the_device_as_it_is(node: Node, place: Place) -> None:
    node.serve(place.local)
    asked = frame(place.client, place.node, UDP, segment(UDP, 4000, PORT))
    assert node.run("from_device", asked) == (XDP_PASS, asked)
    _, out = node.run("from_uplink", asked)
    assert ends(read(out)) == (place.client, 4000, place.local, 8080)


@both
@protocols
def test_what_leaves_the_mesh_leaves_as_the_node(node: Node, place: Place, protocol: int) -> None:
    asked = frame(place.local, place.outside, protocol, segment(protocol, 4000, 443))
    seen = masqueraded(node, asked)
    assert (seen.src, seen.dst, seen.dport) == (place.node, place.outside, 443)
    assert seen.checked
    answer = frame(place.outside, place.node, protocol, segment(protocol, 443, seen.sport, ACK))
    action, out = node.run("from_uplink", answer)
    assert (action, ends(read(out))) == (REDIRECT, (place.outside, 443, place.local, 4000))
    assert read(out).checked


def masqueraded(node: Node, asked: bytes) -> Seen:
    """Twice: the second packet must find what the first one made."""
    outs = {node.run("from_workload", asked) for _ in range(2)}
    [(action, out)] = outs
    assert action == REDIRECT
    return read(out)


@both
def test_pings_leave_and_come_back(node: Node, place: Place) -> None:
    asked = frame(place.local, place.outside, place.icmp, icmp(place.echo, b"hello", ident=77))
    seen = masqueraded(node, asked)
    assert (seen.src, seen.dst, seen.checked) == (place.node, place.outside, True)
    answer = frame(
        place.outside, place.node, place.icmp, icmp(place.reply, b"hello", ident=seen.sport)
    )
    _, out = node.run("from_uplink", answer)
    assert (read(out).dst, read(out).sport, read(out).checked) == (place.local, 77, True)


@both
@protocols
def test_errors_about_translated_packets_find_the_client(
    node: Node, place: Place, protocol: int
) -> None:
    """A router on the way to a remote backend: the client is told in its own words."""
    node.serve(place.remote)
    asked = frame(place.client, place.node, protocol, segment(protocol, 4000, PORT))
    _, out = node.run("from_uplink", asked)
    about = out[14:]
    v4 = ":" not in place.node
    kind, code = (UNREACHABLE, 4) if v4 else (2, 0)
    reported = frame(
        "192.0.2.254" if v4 else "2001:db8::fe",
        place.node,
        place.icmp,
        icmp(kind, about[: 28 if v4 else 60], code=code),
    )
    _, out = node.run("from_uplink", reported)
    seen = read(out)
    assert (seen.dst, seen.checked) == (place.client, True)
    inner = ether(seen.payload[8:], IPV4 if v4 else IPV6)
    assert inner_ends(inner) == (place.client, 4000, place.node, PORT)


@both
def test_errors_from_a_backend_leave_in_the_services_words(node: Node, place: Place) -> None:
    node.serve(place.local)
    asked = frame(place.client, place.node, UDP, segment(UDP, 4000, PORT))
    _, out = node.run("from_uplink", asked)
    kind, code = (UNREACHABLE, 3) if ":" not in place.node else (1, 4)
    closed = frame(place.local, place.client, place.icmp, icmp(kind, out[14:], code=code))
    _, out = node.run("from_workload", closed)
    seen = read(out)
    assert (seen.src, seen.dst, seen.checked) == (place.node, place.client, True)
    assert inner_ends(bytes(14) + seen.payload[8:]) == (place.client, 4000, place.node, PORT)


@both
def test_later_fragments_are_translated_without_ports(node: Node, place: Place) -> None:
    node.serve(place.local)
    body = summed(place.client, place.node, UDP, udp(4000, PORT, bytes(64)))
    pieces = [(0, body[:32], True), (32, body[32:], False)]
    for offset, piece, more in pieces:
        if ":" in place.node:
            part = fragment6(UDP, piece, offset=offset, more=more)
            packet = ether(ipv6(place.client, place.node, FRAGMENT, part), IPV6)
        else:
            whole = ipv4(place.client, place.node, UDP, piece, offset=offset, more=more)
            packet = ether(whole, IPV4)
        action, out = node.run("from_uplink", packet)
        assert action == REDIRECT
        at = (26, 30) if ":" not in place.node else (22, 38)
        size = 4 if ":" not in place.node else 16
        assert out[at[1] : at[1] + size] == ip_address(place.local).packed
        if offset:
            assert out[-len(piece) :] == piece


@both
def test_ports_that_run_out_are_a_named_drop(node: Node, place: Place) -> None:
    node.serve(place.remote)
    node.set_state(ports=(2000, 2007))
    full = 0
    for sport in range(4000, 4064):
        asked = frame(place.client, place.node, UDP, segment(UDP, sport, PORT))
        before = node._counts()[Reason.NAT_PORTS_EXHAUSTED]
        node.run("from_uplink", asked)
        full += node._counts()[Reason.NAT_PORTS_EXHAUSTED] - before
    assert full >= 64 - 8
    taken = {
        abi.NatEntry.unpack(value).sport
        for _, value in node.maps["nat"].items()
        if abi.NatEntry.unpack(value).flags & abi.NatFlag.FORWARD
    }
    assert taken == set(range(2000, 2008))


@both
def test_a_backend_that_goes_is_left_by_new_packets_at_once(node: Node, place: Place) -> None:
    node.serve(place.local)
    asked = frame(place.client, place.node, UDP, segment(UDP, 4000, PORT))
    node.run("from_uplink", asked)
    node.maps["backends"].delete_many([pack("=Q", 11)])
    node.maps["slots"][abi.SlotKey(9, 0).pack()] = abi.Slot(
        12, 0xFFFFFFFF, 0, raw(place.remote), 9090
    ).pack()
    node.maps["backends"][pack("=Q", 12)] = abi.Backend(5, 9090, raw(place.remote)).pack()
    _, out = node.run("from_uplink", asked)
    assert (read(out).dst, read(out).dport) == (place.remote, 9090)


@both
def test_an_established_connection_stays_with_a_backend_that_takes_no_new_ones(
    node: Node, place: Place
) -> None:
    node.serve(place.local)
    node.run("from_uplink", frame(place.client, place.node, TCP, segment(TCP, 4000, PORT)))
    node.maps["backends"].delete_many([pack("=Q", 11)])
    later = frame(place.client, place.node, TCP, segment(TCP, 4000, PORT, ACK))
    action, out = node.run("from_uplink", later)
    assert (action, read(out).dst) == (REDIRECT, place.local)


@both
def test_a_port_is_used_again_after_the_connection_closed(node: Node, place: Place) -> None:
    node.serve(place.local)
    node.run("from_uplink", frame(place.client, place.node, TCP, segment(TCP, 4000, PORT)))
    node.run("from_uplink", frame(place.client, place.node, TCP, segment(TCP, 4000, PORT, FIN)))
    action, out = node.run(
        "from_uplink", frame(place.client, place.node, TCP, segment(TCP, 4000, PORT))
    )
    assert (action, read(out).dst) == (REDIRECT, place.local)


@both
def test_only_clients_in_range_are_served(node: Node, place: Place) -> None:
    node.serve(place.local, flags=ServiceFlag.EXTERNAL | ServiceFlag.SOURCE_RANGES)
    asked = frame(place.client, place.node, TCP, segment(TCP, 4000, PORT))
    assert node.reason("from_uplink", asked) == Reason.SOURCE_RANGE
    key = abi.SourceRangeKey(32 + 128, 5, raw(place.client))
    node.maps["source_ranges"][key.pack()] = abi.SourceRange().pack()
    action, _ = node.run("from_uplink", asked)
    assert action == REDIRECT


@both
def test_no_endpoint_is_a_named_drop(node: Node, place: Place) -> None:
    node.serve(place.local)
    service = abi.Service(5, ServiceFlag.EXTERNAL)
    node.maps["services"][node_port(place.node, TCP)] = service.pack()
    asked = frame(place.client, place.node, TCP, segment(TCP, 4000, PORT))
    assert node.reason("from_uplink", asked) == Reason.NO_BACKEND


@both
def test_a_range_that_is_not_masqueraded_sees_the_workload(node: Node, place: Place) -> None:
    width = 128
    entry = abi.IpcacheEntry(Identity.WORLD, IpcacheFlag.NO_MASQUERADE)
    node.maps["ipcache"][abi.IpcacheKey(width, raw(place.outside)).pack()] = entry.pack()
    try:
        asked = frame(place.local, place.outside, UDP, segment(UDP, 4000, 53))
        _, out = node.run("from_workload", asked)
        assert read(out).src == place.local
        assert list(node.maps["nat"].items()) == []
    finally:
        node.maps["ipcache"].delete_many([abi.IpcacheKey(width, raw(place.outside)).pack()])


@both
def test_a_workloads_address_does_not_come_by_the_uplink(node: Node, place: Place) -> None:
    forged = frame(place.node, place.local, UDP, segment(UDP, 4000, 53))
    assert node.reason("from_uplink", forged) == Reason.SPOOFED_SOURCE
    node.set_state(NodeFlag.VXLAN)
    forged = frame(place.remote, place.local, UDP, segment(UDP, 4000, 53))
    assert node.reason("from_uplink", forged) == Reason.SPOOFED_SOURCE

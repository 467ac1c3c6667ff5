"""State is carried from another version's maps into today's, in the kernel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from tulle import abi
from tulle.compile.parts import packed
from tulle.edges.bpf import bpffs
from tulle.edges.bpf.datapath import remove
from tulle.edges.bpf.loader import Objects
from tulle.edges.bpf.maps import Map
from tulle.edges.bpf.migrate import carry_over

SMALL = {name: min(spec.max_entries, 1024) for name, spec in abi.MAPS.items() if name != "events"}
STATE = bytes(4)
ONE, TWO, VIRTUAL = (packed(ip_address(item)) for item in ("10.0.0.1", "10.0.0.2", "10.96.0.1"))
TCP = 6


class Versions:
    """Two agents' maps. The old ones have today's layout: what differs is what they hold."""

    def __init__(self, pins: Path) -> None:
        self.pins = pins
        before = self._objects()
        before.pins.rename(pins / "v0123456789abcdef")
        self.old, self.objects = before.maps, self._objects()
        self.new = self.objects.maps

    def _objects(self) -> Objects:
        made = Objects(self.pins, SMALL)
        made.load("decide", ("decide",))
        return made

    def carry_over(self) -> list[str]:
        return carry_over(self.objects.pins, self.new)


@pytest.fixture
def versions() -> Iterator[Versions]:
    bpffs.mount()
    pins = Path(f"/sys/fs/bpf/tulle-migrate-{os.getpid()}")
    try:
        yield Versions(pins)
    finally:
        remove(pins)


def connection(port: int) -> bytes:
    return abi.CtKey(addr=(ONE, TWO), port=(port, 80), proto=TCP).pack()


def seen(when: int, **more: int) -> bytes:
    return abi.CtEntry(last_seen_ns=when, judgement=4, ifindex=(3, 4), **more).pack()


def held(of: Map) -> dict[bytes, bytes]:
    return dict(of.items())


def test_connections_and_sockets_are_carried_over(versions: Versions) -> None:
    rows = {connection(port): seen(port, flags=abi.CtFlag.REPLIED) for port in range(1000, 1500)}
    versions.old["conntrack"].update_many(rows.items())
    socket = abi.SockNatKey(cookie=7, addr=ONE, port=80).pack()
    versions.old["sock_nat"][socket] = abi.SockNat(VIRTUAL, 80).pack()
    assert versions.carry_over() == []
    assert held(versions.new["conntrack"]) == rows
    assert held(versions.new["sock_nat"]) == {socket: abi.SockNat(VIRTUAL, 80).pack()}


def test_each_connection_is_judged_again(versions: Versions) -> None:
    versions.old["state"][STATE] = abi.State(epoch=41).pack()
    versions.new["state"][STATE] = abi.State(epoch=2, overlay_ifindex=9).pack()
    versions.carry_over()
    assert abi.State.unpack(versions.new["state"][STATE]) == abi.State(epoch=42, overlay_ifindex=9)
    versions.new["state"][STATE] = abi.State(epoch=50).pack()
    versions.carry_over()
    assert abi.State.unpack(versions.new["state"][STATE]).epoch == 50


def test_a_second_time_adds_what_came_between_and_replaces_nothing_newer(
    versions: Versions,
) -> None:
    old, new = versions.old["conntrack"], versions.new["conntrack"]
    for port in (1, 2):
        old[connection(port)] = seen(10)
    versions.carry_over()
    old[connection(1)] = seen(20)
    new[connection(2)] = seen(30)
    old[connection(3)] = seen(20)
    versions.carry_over()
    assert held(new) == {
        connection(1): seen(20),
        connection(2): seen(30),
        connection(3): seen(20),
    }


def test_affinity_follows_the_backend_and_not_its_number(versions: Versions) -> None:
    frontend = abi.ServiceKey(addr=VIRTUAL, port=80, proto=TCP).pack()
    for maps, service, backend in ((versions.old, 1, 11), (versions.new, 7, 77)):
        maps["services"][frontend] = abi.Service(id=service).pack()
        entry = abi.Backend(service=service, port=8080, addr=TWO).pack()
        maps["backends"][backend.to_bytes(8, "little")] = entry
    of_old = abi.AffinityKey(client=ONE, service=1).pack()
    versions.old["affinity"][of_old] = abi.Affinity(5, 11).pack()
    assert versions.carry_over() == []
    of_new = abi.AffinityKey(client=ONE, service=7).pack()
    assert held(versions.new["affinity"]) == {of_new: abi.Affinity(5, 77).pack()}


def test_without_an_epoch_nothing_is_carried_over(versions: Versions) -> None:
    versions.old["conntrack"][connection(1)] = seen(1)
    (versions.pins / "v0123456789abcdef" / "state").unlink()
    (problem,) = versions.carry_over()
    assert problem.startswith("v0123456789abcdef: nothing of it")
    assert not held(versions.new["conntrack"])


def test_one_map_that_is_missing_does_not_keep_the_others(versions: Versions) -> None:
    versions.old["conntrack"][connection(1)] = seen(1)
    versions.old["affinity"][abi.AffinityKey(client=ONE, service=1).pack()] = bytes(16)
    (versions.pins / "v0123456789abcdef" / "services").unlink()
    (problem,) = versions.carry_over()
    assert "map 'affinity'" in problem
    assert held(versions.new["conntrack"]) == {connection(1): seen(1)}

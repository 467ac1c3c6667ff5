"""Workloads and nodes on real namespaces: they work, survive, and leave nothing behind."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tulle.agent.hosts import HostsEntry
from tulle.agent.workloads import Workloads
from tulle.edges import enter, netlink, netns
from tulle.edges.cgroup import NodeCgroup, find_mount
from tulle.errors import Refused
from tulle.lab import node
from tulle.model.paths import NodePaths
from tulle.model.world import Key

# as http.server's own, without its look-up of the host's name in DNS
SERVER = """
import http.server, socket, socketserver
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    server_bind = socketserver.TCPServer.server_bind
Server(("::", 80), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def lab() -> Iterator[NodePaths]:
    name = f"test-{os.getpid()}"
    node.destroy(name)
    try:
        yield node.create(name)
    finally:
        node.destroy(name)
    assert name not in node.nodes()
    assert not (find_mount() / f"tulle-{name}").exists()
    assert f"/{name}/" not in Path("/proc/self/mountinfo").read_text()


def workloads_of(lab: NodePaths) -> Workloads:
    return Workloads(lab.state, NodeCgroup(find_mount(), lab.cgroup), lab.netns)


def inside(workloads: Workloads, key: Key, *command: str) -> list[str]:
    place = workloads.place(key)
    return enter.argv(
        command,
        netns=str(place.netns),
        cgroup=str(place.cgroup),
        hosts=str(place.hosts),
        hostname=key[1],
        cwd="/etc",
    )


def output(argv: list[str]) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20).stdout


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.02)


def test_workloads_reach_each_other_by_name_over_both_families(lab: NodePaths) -> None:
    workloads = workloads_of(lab)
    web, client = workloads.create("shop", "web"), workloads.create("shop", "client")
    workloads.write_hosts([HostsEntry("front", "shop", web.addresses)])
    server = subprocess.Popen(
        inside(workloads, web.key, sys.executable, "-c", SERVER),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: _listens(workloads, web.key))
        for family, name in (("-4", "front"), ("-6", "front.shop"), ("-6", "front.shop.svc")):
            fetch = ["curl", family, "-sf", "-m", "5", f"http://{name}/hosts"]
            assert f"{web.addresses[0]} web" in output(inside(workloads, client.key, *fetch))
        for address in (f"{web.addresses[0]}", f"[{web.addresses[1]}]"):  # from the node itself
            fetch = ["curl", "-sf", "-m", "5", f"http://{address}/hosts"]
            assert f"{web.addresses[0]} web" in output(["nsenter", f"--net={lab.netns}", *fetch])
    finally:
        server.kill()
        server.wait()


def _listens(workloads: Workloads, key: Key) -> bool:
    return ":80" in output(inside(workloads, key, "ss", "-Hltn"))


def test_network_of_a_workload_is_quiet_and_has_no_neighbour_to_learn(lab: NodePaths) -> None:
    workloads = workloads_of(lab)
    web = workloads.create("shop", "web")
    links = output(inside(workloads, web.key, "ip", "-o", "link"))
    assert netlink.WORKLOAD_MAC in links
    addresses = output(inside(workloads, web.key, "ip", "-o", "addr", "show", "dev", "eth0"))
    assert "fe80" not in addresses
    assert output(inside(workloads, web.key, "ip", "neigh")).count("PERMANENT") == 2
    time.sleep(1.2)  # the first router solicitation or MLD report would have been sent
    devices = output(inside(workloads, web.key, "cat", "/proc/self/net/dev"))
    eth0 = next(line.split() for line in devices.splitlines() if "eth0:" in line)
    assert eth0[2] == "0" and eth0[10] == "0"


def test_command_that_cannot_run_says_why(lab: NodePaths) -> None:
    workloads = workloads_of(lab)
    key = workloads.create("shop", "web").key
    for command, code, reason in (
        ("no-such-command", 127, "tulle: no-such-command: command not found\n"),
        ("/proc/version", 126, "tulle: /proc/version: permission denied\n"),
    ):
        done = subprocess.run(inside(workloads, key, command), capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (code, reason)


def test_hostname_and_hosts_are_the_workloads_own_and_follow_changes(lab: NodePaths) -> None:
    workloads = workloads_of(lab)
    web = workloads.create("shop", "web")
    assert output(inside(workloads, web.key, "uname", "-n")) == "web\n"
    assert f"{web.addresses[0]} web\n" in output(inside(workloads, web.key, "cat", "/etc/hosts"))
    sleeper = subprocess.Popen(inside(workloads, web.key, "sleep", "60"))
    until(lambda: Path(f"/proc/{sleeper.pid}/comm").read_text() == "sleep\n")
    workloads.write_hosts([HostsEntry("db", "shop", web.addresses)])
    assert " db\n" in Path(f"/proc/{sleeper.pid}/root/etc/hosts").read_text()
    workloads.delete(web.key)
    assert sleeper.wait(5) == -signal.SIGKILL


def test_deleted_workload_is_gone_even_while_others_hold_its_mounts(lab: NodePaths) -> None:
    workloads = workloads_of(lab)
    web, other = workloads.create("shop", "web"), workloads.create("shop", "other")
    path = workloads.place(web.key).netns
    sleeper = subprocess.Popen(inside(workloads, other.key, "sleep", "60"))
    until(lambda: Path(f"/proc/{sleeper.pid}/comm").read_text() == "sleep\n")
    assert str(path) in Path(f"/proc/{sleeper.pid}/mountinfo").read_text()
    workloads.delete(web.key)
    assert str(path) not in Path(f"/proc/{sleeper.pid}/mountinfo").read_text()
    workloads.delete(other.key)
    assert sleeper.wait(5) == -signal.SIGKILL
    assert netns.run_in(lab.netns, netlink.interfaces) == {"lo": 1}


def test_command_that_ended_is_gone_and_one_that_has_not_begun_is_not(lab: NodePaths) -> None:
    workloads = workloads_of(lab)
    done, waiting = workloads.create("shop", "done"), workloads.create("shop", "waiting")
    running = workloads.create("shop", "running")
    output(inside(workloads, done.key, "true"))
    sleeper = subprocess.Popen(inside(workloads, running.key, "sleep", "60"))
    until(lambda: workloads.cgroups.populated(workloads.place(running.key).cgroup))
    assert workloads.gone() == [done.key]
    assert waiting.key in workloads.all()
    sleeper.kill()
    sleeper.wait()
    until(lambda: set(workloads.gone()) == {done.key, running.key})


def test_new_agent_keeps_what_lives_and_drops_what_lost_its_network(lab: NodePaths) -> None:
    first = workloads_of(lab)
    web = first.create("shop", "web", {"app": "web"}, weight=3)
    lost = first.create("shop", "lost")
    names = netns.run_in(lab.netns, netlink.interfaces)
    interface = next(name for name, index in names.items() if index == lost.ifindex)
    netns.run_in(lab.netns, lambda: netlink.disconnect([interface]))
    second = workloads_of(lab)
    assert second.recover() == ["workload shop/lost: its network is gone"]
    assert second.all() == {web.key: web}


def test_freed_address_is_not_the_next_one_even_for_a_new_agent(lab: NodePaths) -> None:
    first = workloads_of(lab)
    freed = first.create("shop", "freed").addresses
    first.delete(("shop", "freed"))
    second = workloads_of(lab)
    second.recover()
    assert second.create("shop", "next").addresses != freed


def test_taken_name_and_bad_name_are_refused(lab: NodePaths) -> None:
    workloads = workloads_of(lab)
    workloads.create("shop", "web")
    with pytest.raises(Refused, match="workload shop/web exists already"):
        workloads.create("shop", "web")
    for bad in ("../etc", "Web", "", "a_b", "x" * 200):
        with pytest.raises(Refused, match="name"):
            workloads.create("shop", bad)
    assert list(workloads.all()) == [("shop", "web")]


def test_kill_9_in_the_middle_of_making_leaves_nothing_half_made(lab: NodePaths) -> None:
    for round_ in range(25):
        _killed_while_creating(lab, random.Random(round_).uniform(0.001, 0.03))
        workloads = workloads_of(lab)
        workloads.recover()
        assert _interfaces(lab) == {w.ifindex for w in workloads.all().values()}
        for key in workloads.all():
            assert netns.exists(workloads.place(key).netns)
            workloads.delete(key)
    assert [p.name for p in lab.namespaces.iterdir()] == ["node"]
    assert NodeCgroup(find_mount(), lab.cgroup).children(find_mount() / lab.cgroup) == []


def _interfaces(lab: NodePaths) -> set[int]:
    return set(netns.run_in(lab.netns, netlink.interfaces).values()) - {1}


def _killed_while_creating(lab: NodePaths, after_s: float) -> None:
    begin, begun = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        workloads = workloads_of(lab)
        begun.send(b"x")
        for number in range(1000):
            workloads.create("shop", f"w{number}")
        os._exit(0)
    begin.recv(1)
    time.sleep(after_s)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_unreadable_record_takes_only_its_own_workload_down(lab: NodePaths) -> None:
    first = workloads_of(lab)
    web = first.create("shop", "web")
    first.create("shop", "broken")
    (lab.state / "workloads/shop_broken.json").write_bytes(b"\xff{")
    second = workloads_of(lab)
    assert len(second.recover()) == 2  # its namespace and its cgroup
    assert list(second.all()) == [web.key]
    assert _interfaces(lab) == {web.ifindex}


def test_a_hundred_workloads(lab: NodePaths, capsys: pytest.CaptureFixture[str]) -> None:
    workloads = workloads_of(lab)
    begun_s = time.monotonic()
    for number in range(100):
        workloads.create("many", f"w{number}")
    made_s = time.monotonic()
    again = workloads_of(lab)
    again.recover()
    recovered_s = time.monotonic()
    assert again.all() == workloads.all() and len(again.all()) == 100
    with capsys.disabled():
        print(
            f" 100 made in {made_s - begun_s:.2f} s, found in {recovered_s - made_s:.3f} s", end=""
        )


def test_machine_itself_is_no_node_of_the_lab() -> None:
    with pytest.raises(Refused, match="the machine itself"):
        node.create("local")

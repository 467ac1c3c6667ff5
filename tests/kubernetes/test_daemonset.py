"""Tulle's own DaemonSet on real kubelets: it comes, changes and goes under load, and is gone then.

Nothing but `tulle install` brings it to the nodes, and nothing but its image is on them.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from tests.e2e.conftest import assert_gone
from tests.e2e.mesh import HERE, Json, admit, service, tulle
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.images import NEXT, TULLE
from tests.kubernetes.machine import CNI_BIN, CNI_CONF, PODS, Machine
from tests.kubernetes.mesh import deployment
from tests.kubernetes.node import kube_nodes
from tulle.lab import node
from tulle.lab.cluster import Cluster as Lab

SYSTEM = "tulle-system"
KEPT = 20
REST_S = 0.1
# without it a pod gets hardly any of a busy machine while an agent starts
SHARE = {"requests": {"cpu": "100m"}}
ROLLOUT_S = 240
# Asks as long as stdin is open, a new connection each time, and tells how often, and what it got.
STRANGER = """
import json, select, socket, sys
tried, got = 0, 0
while not select.select([sys.stdin], [], [], 0.2)[0]:
    tried += 1
    try:
        socket.create_connection((sys.argv[1], 80), 0.5).close()
        got += 1
    except TimeoutError:
        pass
print(json.dumps({"tried": tried, "got": got}), flush=True)
"""


@dataclass
class Town:
    """`children` are commands in pods, by the pod's name."""

    plane: ControlPlane
    machines: dict[str, Machine]
    children: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def start(self, pod: str, *command: str) -> None:
        where = ("exec", "-i", "-n", "shop", pod, "--", "python3", "-IS", "-c", *command)
        self.children[pod] = subprocess.Popen(
            [*self.plane.kubectl.line, *where],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def end(self, pod: str) -> Json:
        said, _ = self.children.pop(pod).communicate("", timeout=60)
        return json.loads(said.splitlines()[-1])

    def agents(self) -> dict[str, str]:
        """Their images, by their pods' names."""
        ours = ("-n", SYSTEM, "-l", "app.kubernetes.io/name=tulle-agent")
        pods = self.plane.kubectl.list("pods", *ours)
        return {item["metadata"]["name"]: item["spec"]["containers"][0]["image"] for item in pods}


@pytest.fixture(scope="module")
def town(plane: ControlPlane) -> Iterator[Town]:
    """Two machines with kubelets, and no network for pods."""
    lab = Lab(f"kube-{os.getpid()}-ds")
    names = {letter: f"{lab.name}-{letter}" for letter in ("a", "b")}
    with ExitStack() as stack:
        plane.connect(lab)
        stack.callback(plane.disconnect)
        plane.start_controllers()
        plane.start_scheduler()
        stack.callback(tulle, "lab", "down", *names.values())
        for name in names.values():
            node.create_in(lab, name)
        made = stack.enter_context(kube_nodes(plane, lab, names.values(), Machine))
        for item in made.values():
            item.import_tulle()
        yield Town(plane, {letter: made[name] for letter, name in names.items()})
    assert_gone(lab.name)


@pytest.fixture(scope="module")
def installed(town: Town) -> Town:
    given = {
        "image.repository": TULLE.rpartition(":")[0],
        "apiServer": town.plane.server,
        "cni.confDir": str(CNI_CONF),
        "agent.hostCgroups": json.dumps([str(PODS)]),
    }
    town.plane.tulle("install", *(f"--set={path}={value}" for path, value in given.items()))
    return town


@pytest.fixture(scope="module")
def busy(installed: Town) -> Iterator[Town]:
    """Servers on both nodes; on each a client with connections that stay, and a stranger."""
    kubectl = installed.plane.kubectl
    kubectl("create", "namespace", "shop")
    clients = [
        client(f"{who}-{letter}", who, item.name)
        for who in ("client", "stranger")
        for letter, item in installed.machines.items()
    ]
    web = deployment("web", 4)
    web["spec"]["template"]["spec"]["containers"][0]["resources"] = SHARE
    kubectl.apply(web, service("web", "web"), admit("web", "web", "client"), *clients)
    rolled_out(installed.plane, "shop", "deployment/web")
    kubectl("wait", "-n", "shop", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    found = kubectl.get("service", "web", "shop")
    assert found is not None
    address = found["spec"]["clusterIP"]
    for letter in installed.machines:
        load = (HERE / "load.py").read_text()
        installed.start(f"client-{letter}", load, address, "80", str(KEPT), str(REST_S))
        installed.start(f"stranger-{letter}", STRANGER, address)
        said = installed.children[f"client-{letter}"].stdout
        assert said is not None and said.readline() == "ready\n"
    yield installed
    for child in installed.children.values():
        child.kill()
        child.communicate()


def rolled_out(plane: ControlPlane, namespace: str, what: str) -> None:
    plane.kubectl("rollout", "status", "-n", namespace, what, timeout_s=ROLLOUT_S)


def client(name: str, app: str, node_name: str) -> Json:
    """It has Python, as Tulle's image has."""
    wait = ["python3", "-IS", "-c", "import signal; signal.pause()"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": app}},
        "spec": {
            "nodeName": node_name,
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "client", "image": TULLE, "command": wait, "resources": SHARE}],
        },
    }


def test_another_version_takes_over(busy: Town) -> None:
    before, tag = busy.agents(), NEXT.rpartition(":")[2]
    busy.plane.tulle("upgrade", f"--set=image.tag={tag}", "--set=agent.proxyWorkers=1")
    after = busy.agents()
    assert set(after.values()) == {NEXT}
    assert len(after) == len(busy.machines) and not before.keys() & after.keys()


def test_the_one_before_comes_back(busy: Town) -> None:
    """Pods that are made meanwhile wait for their node's agent at most."""
    busy.plane.kubectl("scale", "-n", "shop", "deployment/web", "--replicas=6")
    busy.plane.tulle("upgrade", "--rollback")
    assert set(busy.agents().values()) == {TULLE}
    rolled_out(busy.plane, "shop", "deployment/web")


def test_it_is_a_daemonset_like_others(busy: Town) -> None:
    before = busy.agents()
    busy.plane.kubectl("rollout", "undo", "-n", SYSTEM, "daemonset/tulle-agent")
    rolled_out(busy.plane, SYSTEM, "daemonset/tulle-agent")
    assert set(busy.agents().values()) == {NEXT}
    assert not before.keys() & busy.agents().keys()


def test_nobody_has_noticed(busy: Town) -> None:
    for letter in busy.machines:
        totals = busy.end(f"client-{letter}")
        assert totals["kept"]["failed"] == totals["fresh"]["failed"] == 0, totals
        assert totals["kept"]["requests"] > KEPT and totals["fresh"]["requests"] > 100
        stranger = busy.end(f"stranger-{letter}")
        assert stranger["got"] == 0 < stranger["tried"]


def test_nothing_is_left_of_it(busy: Town) -> None:
    """Though its pods still run."""
    busy.plane.tulle("uninstall", "--yes", "--definitions")
    for machine in busy.machines.values():
        places = ("/sys/fs/bpf", "/run/tulle", "/var/lib/tulle", CNI_BIN, CNI_CONF)
        ours = ("-mindepth", "1", "-not", "-name", "*.debug")  # the kernel's
        assert machine.look("find", *map(str, places), *ours, check=False) == ""
        assert not (machine.cgroup / "tulle-local").exists()
        assert "tulle" not in machine.look("ip", "-d", "link")

"""Lab nodes for tests, driven as a user would: by the `tulle` command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from tulle.edges import enter
from tulle.edges.cgroup import find_mount

TULLE = Path(sys.executable).with_name("tulle")
HERE = Path(__file__).parent
Json = dict[str, Any]


class Mesh:
    """One node. `start` and `stop` are idempotent; everything of it carries its name.

    Of a node in a `Cluster` the cluster starts and stops it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.cgroup = find_mount() / f"tulle-{name}"
        self._children: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        tulle("lab", "up", self.name)

    def stop(self) -> None:
        self.end_children()
        tulle("lab", "down", self.name)

    def end_children(self) -> None:
        """What `spawn` started."""
        for child in self._children:
            child.kill()
            child.communicate()
        self._children.clear()

    def tulle(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        return tulle("--node", self.name, *arguments, stdin=stdin, check=check)

    def get(self, kind: str) -> list[Json]:
        return json.loads(self.tulle("get", kind, "-o", "json"))["items"]

    def status(self) -> Json:
        return json.loads(self.tulle("status", "-o", "json"))

    def apply(self, *objects: Json) -> Json:
        answer = self.tulle("apply", "-f", "-", "-o", "json", stdin=yaml.safe_dump_all(objects))
        return json.loads(answer)

    def delete(self, *objects: Json) -> None:
        self.tulle("delete", "-f", "-", stdin=yaml.safe_dump_all(objects))

    def flows(self, *filters: str) -> list[Json]:
        lines = self.tulle("observe", "-o", "json", *filters).splitlines()
        return [json.loads(line)["flow"] for line in lines]

    def run(self, name: str, *command: str, app: str = "", ports: tuple[str, ...] = ()) -> None:
        """A detached workload in namespace `shop`."""
        options = [word for port in ports for word in ("-p", port)]
        labels = f"app={app or name}"
        self.tulle(
            "run", "-d", "-n", "shop", "--name", name, "-l", labels, *options, "--", *command
        )

    def serve(self, name: str, app: str = "", ports: tuple[str, ...] = ()) -> None:
        """A workload that answers HTTP with its name on port 8080, and UDP on 5353."""
        server = str(HERE / "server.py")
        self.run(name, sys.executable, server, name, app=app, ports=ports)
        wait_for(lambda: self.exec(name, "ss", "-Hltn", "sport = :8080").strip() != "")

    def exec(self, name: str, *command: str) -> str:
        return self.tulle("exec", "-n", "shop", name, "--", *command)

    def spawn(self, name: str, *command: str, namespace: str = "shop") -> subprocess.Popen[str]:
        """A command in a workload, with pipes; killed at the end at the latest."""
        inside = ("--node", self.name, "exec", "-n", namespace, name, "--")
        child = spawn(*inside, *command)
        self._children.append(child)
        return child

    def host(self, *command: str, check: bool = True) -> str:
        """A command of the node's own."""
        return tulle("lab", "exec", self.name, "--", *command, check=check)

    def spawn_host(self, *command: str) -> subprocess.Popen[str]:
        child = spawn("lab", "exec", self.name, "--", *command)
        self._children.append(child)
        return child

    def get_http(self, client: str, url: str, timeout_s: float = 1.0) -> str:
        """Body, or "" if nobody answered in time."""
        options = ("-s", "--noproxy", "*", "-m", str(timeout_s))
        script = ["curl", *options, url]
        return self.tulle("exec", "-n", "shop", client, "--", *script, check=False)

    def get_http_direct(self, client: str, url: str, timeout_s: float = 1.0) -> str:
        """The same without the agent, which `tulle exec` would ask for the way in."""
        namespace = next(Path(f"/run/tulle/{self.name}/netns").glob(f"shop_{client}-*"))
        cgroup = self.cgroup / f"shop_{client}"
        script = enter.argv(
            ("curl", "-s", "-m", str(timeout_s), url), netns=str(namespace), cgroup=str(cgroup)
        )
        return subprocess.run(script, capture_output=True, text=True).stdout

    def agent_pid(self) -> int:
        return int(Path(f"/run/tulle/{self.name}/agent.lock").read_text())

    def kill_agent(self) -> None:
        """kill -9, and wait until it is gone."""
        pid = self.agent_pid()
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid))


class Cluster:
    """Nodes that know each other, and a host outside of the mesh on the same wire."""

    def __init__(self, name: str, nodes: Iterable[str] = ("a", "b"), *options: str) -> None:
        """Nodes are called `name`-a and so on; `options` are those of `tulle lab up`."""
        self.name, self._options = name, options
        self.nodes = {node: Mesh(f"{name}-{node}") for node in nodes}
        self._children: list[subprocess.Popen[str]] = []

    def start(self, *nodes: str) -> None:
        """These nodes, or all."""
        names = [self.nodes[node].name for node in nodes or self.nodes]
        tulle("lab", "up", *names, "--cluster", self.name, *self._options)

    def stop(self) -> None:
        for child in self._children:
            child.kill()
            child.communicate()
        for node in self.nodes.values():
            node.end_children()
        tulle("lab", "down", *(node.name for node in self.nodes.values()))

    def __getitem__(self, node: str) -> Mesh:
        return self.nodes[node]

    def apply(self, *objects: Json) -> None:
        """Returns when the objects are in force on every node."""
        first, *others = self.nodes.values()
        first.apply(*objects)
        for node in others:
            node.apply(*objects)

    def delete(self, *objects: Json) -> None:
        first, *others = self.nodes.values()
        first.delete(*objects)
        for node in others:
            node.delete(*objects)

    def outside(self, *command: str, check: bool = True) -> str:
        """A command of the host outside."""
        return tulle("lab", "outside", "--cluster", self.name, "--", *command, check=check)

    def spawn_outside(self, *command: str) -> subprocess.Popen[str]:
        child = spawn("lab", "outside", "--cluster", self.name, "--", *command)
        self._children.append(child)
        return child


def tulle(*arguments: str, stdin: str = "", check: bool = True) -> str:
    done = subprocess.run(
        [TULLE, *arguments], input=stdin, capture_output=True, text=True, timeout=60
    )
    if check and done.returncode:
        raise AssertionError(f"tulle {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def spawn(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [TULLE, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """It rests as long as it asks: commands would take the time of what they wait for."""
    deadline = time.monotonic() + timeout_s
    asked = time.monotonic()
    while not condition():
        now = time.monotonic()
        assert now < deadline, "it did not happen in time"
        time.sleep(min(max(now - asked, 0.02), 0.2))
        asked = time.monotonic()


def service(name: str, app: str, port: int = 80, protocol: str = "TCP", **spec: Any) -> Json:
    target = {"TCP": 8080, "UDP": 5353}[protocol]
    ports = [{"name": "p", "port": port, "targetPort": target, "protocol": protocol}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "selector": {"app": app},
            "ipFamilyPolicy": "PreferDualStack",
            "ports": ports,
            **spec,
        },
    }


def policy(name: str, app: str, **spec: Any) -> Json:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"podSelector": {"matchLabels": {"app": app}}, **spec},
    }


def admit(name: str, app: str, *clients: str) -> Json:
    """Ingress to `app` on 8080 from these apps only."""
    peers = [{"podSelector": {"matchLabels": {"app": client}}} for client in clients]
    ingress = [{"from": peers, "ports": [{"port": 8080}]}] if peers else []
    return policy(name, app, policyTypes=["Ingress"], ingress=ingress)


def assert_enforced(mesh: Mesh) -> None:
    """The shop's policy holds both ways."""
    url = f"http://{mesh.get('services')[0]['cluster_ips'][0]}/"
    assert mesh.get_http("client", url) == "web"
    assert mesh.get_http("stranger", url, timeout_s=0.5) == ""

"""A lab node for tests, driven as a user would: by the `tulle` command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tulle.edges import enter
from tulle.edges.cgroup import find_mount

TULLE = Path(sys.executable).with_name("tulle")
HERE = Path(__file__).parent
Json = dict[str, Any]


class Mesh:
    """One node. `start` and `stop` are idempotent; everything of it carries its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cgroup = find_mount() / f"tulle-{name}"
        self._children: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        self._run("lab", "up", self.name)

    def stop(self) -> None:
        for child in self._children:
            child.kill()
            child.communicate()
        self._run("lab", "down", self.name)

    def tulle(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        return self._run("--node", self.name, *arguments, stdin=stdin, check=check)

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
        child = subprocess.Popen(
            [TULLE, "--node", self.name, "exec", "-n", namespace, name, "--", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
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

    def _run(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        done = subprocess.run(
            [TULLE, *arguments], input=stdin, capture_output=True, text=True, timeout=60
        )
        if check and done.returncode:
            raise AssertionError(f"tulle {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


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

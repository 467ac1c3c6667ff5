"""Calls the CNI plugin as a container runtime does, with network namespaces of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tulle.cni.plugin
from tulle.edges import enter, netns
from tulle.edges.cgroup import NodeCgroup, find_mount
from tulle.model.paths import NodePaths

Json = dict[str, Any]
NETWORK = "mesh"


class Failed(Exception):
    """The plugin ended with an error; `code` and the message are what it printed."""

    def __init__(self, answer: Json) -> None:
        self.code = answer["code"]
        super().__init__(answer["msg"])


@dataclass(frozen=True)
class Container:
    """Of one pod; `netns` is bound as long as the runtime has it."""

    id: str
    netns: Path
    pod: tuple[str, str] = ("shop", "web")
    uid: str = ""

    @property
    def args(self) -> str:
        namespace, name = self.pod
        words = (
            f"K8S_POD_NAMESPACE={namespace}",
            f"K8S_POD_NAME={name}",
            f"K8S_POD_UID={self.uid}",
        )
        return ";".join(("IgnoreUnknown=1", *words))


class Runtime:
    """`directory` takes the plugin, as it is installed, and the namespaces."""

    def __init__(self, directory: Path, node: str, version: str = "1.1.0") -> None:
        self.directory, self.version = directory, version
        self.node_paths = NodePaths(node)
        self.plugin = directory / "tulle"
        source = Path(tulle.cni.plugin.__file__).read_text()
        directory.mkdir(parents=True, exist_ok=True)
        self.plugin.write_text(source.replace("@SOCKET@", str(self.node_paths.socket)))
        self.plugin.chmod(0o755)
        self._count = 0

    def container(self, name: str = "web", namespace: str = "shop") -> Container:
        """One with a namespace and nothing in it yet."""
        self._count += 1
        made = f"{name}-{os.getpid()}-{self._count}"
        path = self.directory / "netns" / made
        netns.create(path)
        return Container(made, path, (namespace, name))

    def add(self, container: Container, **config: Any) -> Json:
        return json.loads(self.call("ADD", container, **config))

    def delete(self, container: Container, **config: Any) -> None:
        self.call("DEL", container, **config)

    def call(self, verb: str, container: Container | None = None, **config: Any) -> str:
        """What it printed. Raises Failed."""
        done = self.spawn(verb, container).communicate(self.configuration(**config))
        return self.outcome(done[0])

    def spawn(self, verb: str, container: Container | None) -> subprocess.Popen[str]:
        variables = {"CNI_COMMAND": verb, "CNI_PATH": str(self.directory)}
        if container is not None:
            variables |= {
                "CNI_CONTAINERID": container.id,
                "CNI_NETNS": str(container.netns),
                "CNI_IFNAME": "eth0",
                "CNI_ARGS": container.args,
            }
        pipe = subprocess.PIPE
        return subprocess.Popen([self.plugin], stdin=pipe, stdout=pipe, env=variables, text=True)

    def configuration(self, labels: Json | None = None, **more: Any) -> str:
        config: Json = {"cniVersion": self.version, "name": NETWORK, "type": "tulle", **more}
        if labels:
            items = [{"key": key, "value": value} for key, value in labels.items()]
            config["args"] = {"cni": {"labels": items}}
        return json.dumps(config)

    @staticmethod
    def outcome(printed: str) -> str:
        if printed and "code" in (answer := json.loads(printed)):
            raise Failed(answer)
        return printed

    def spawn_in(self, container: Container, *command: str) -> subprocess.Popen[str]:
        """A process of the pod, in a cgroup that the node's programs are attached to."""
        argv = enter.argv(command, netns=str(container.netns), cgroup=str(self._cgroup(container)))
        return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)

    def run_in(self, container: Container, *command: str) -> str:
        return self.spawn_in(container, *command).communicate(timeout=20)[0]

    def serve(self, container: Container, text: str) -> subprocess.Popen[str]:
        """Answers HTTP on port 8080 with `text`."""
        server = Path(__file__).parents[1] / "e2e" / "server.py"
        return self.spawn_in(container, sys.executable, str(server), text)

    def close(self) -> None:
        netns.delete_all(self.directory / "netns")

    def _cgroup(self, container: Container) -> Path:
        return NodeCgroup(find_mount(), self.node_paths.cgroup).make("kube", f"pod{container.id}")


@contextmanager
def runtime(directory: Path, node: str, version: str = "1.1.0") -> Iterator[Runtime]:
    made = Runtime(directory, node, version)
    try:
        yield made
    finally:
        made.close()
        shutil.rmtree(directory)


def addresses(result: Json) -> Sequence[str]:
    return [item["address"].partition("/")[0] for item in result["ips"]]

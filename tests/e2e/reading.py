"""A client and two servers whose requests a policy reads, one on the client's node, one not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.mesh import Cluster, Json, Mesh, wait_for
from tests.proxy import recorder, say

PORT = 8080


def reading(name: str, app: str, http: Sequence[Json], **meta: Any) -> Json:
    """Ingress to `app` from the client, for requests that one of `http` meets."""
    port = {"port": str(PORT), "protocol": "TCP"}
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name, "namespace": "shop", **meta},
        "spec": {
            "endpointSelector": {"matchLabels": {"app": app}},
            "ingress": [
                {
                    "fromEndpoints": [{"matchLabels": {"app": "client"}}],
                    "toPorts": [{"ports": [port], "rules": {"http": list(http)}}],
                }
            ],
        },
    }


@dataclass
class Backend:
    """A recorder; `seen` is what it has got since it was asked last."""

    mesh: Mesh
    name: str
    file: Path
    _read: int = 0

    def start(self) -> None:
        script = str(recorder.__file__)
        self.mesh.run(self.name, sys.executable, script, str(PORT), str(self.file), app="web")
        wait_for(lambda: self.mesh.exec(self.name, "ss", "-Hltn", f"sport = :{PORT}") != "")

    @property
    def addresses(self) -> dict[int, str]:
        """By family."""
        (found,) = (item for item in self.mesh.get("endpoints") if item["name"] == self.name)
        return {6 if ":" in address else 4: address for address in found["addresses"]}

    def seen(self) -> bytes:
        data = self.file.read_bytes() if self.file.exists() else b""
        fresh, self._read = data[self._read :], len(data)
        return fresh


@dataclass
class Client:
    """Says bytes from within a workload."""

    mesh: Mesh
    name: str
    _speaker: subprocess.Popen[str] | None = field(default=None, repr=False)

    def start(self) -> None:
        self.mesh.run(self.name, "sleep", "inf", app="client")

    def say(self, address: str, pieces: Sequence[bytes], answers: int) -> say.Said:
        if self._speaker is None:
            self._speaker = self.mesh.spawn(self.name, sys.executable, str(say.__file__))
        stdin, stdout = self._speaker.stdin, self._speaker.stdout
        assert stdin and stdout
        asked = [address, PORT, [piece.hex() for piece in pieces], answers]
        stdin.write(json.dumps(asked) + "\n")
        stdin.flush()
        data, closed = json.loads(stdout.readline())
        return say.Said(bytes.fromhex(data), closed)


@dataclass
class Field:
    cluster: Cluster
    client: Client
    here: Backend
    there: Backend

    @classmethod
    def of(cls, cluster: Cluster, place: Path) -> Field:
        """`cluster` has nodes a and b; files of what was recorded are below `place`."""
        a, b = cluster["a"], cluster["b"]
        return cls(
            cluster,
            Client(a, "client"),
            Backend(a, "web-a", place / "web-a"),
            Backend(b, "web-b", place / "web-b"),
        )

    def start(self) -> None:
        for item in (self.client, self.here, self.there):
            item.start()

    def at(self, where: str) -> Backend:
        return self.here if where == "here" else self.there


def get(path: str, host: str = "web", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode()

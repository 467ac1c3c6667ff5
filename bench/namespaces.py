"""The plain network that every mesh is compared with: a node that routes between two workloads.

```
client  10.201.1.2 ──veth── node ──veth── 10.201.2.2  server
```

Each scenario gets three namespaces of its own, so that all of them can stand at the same time and
none sees another's rules. Their names carry this process's id: what a killed run left behind is
found and removed by the next one, and nothing else is touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

PREFIX = "tulle-bench-"
CLIENT_ADDRESS = "10.201.1.2"
SERVER_ADDRESS = "10.201.2.2"


class SetupError(Exception):
    """A scenario could not be built; the message carries the failing command and its output."""


def command(*argv: str, stdin: str = "", timeout: float = 60) -> str:
    """Run `argv` and return its output; SetupError if it fails or takes over `timeout` seconds."""
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=timeout, check=True
        )
    except FileNotFoundError as error:
        raise SetupError(f"{argv[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"{' '.join(argv)}: no answer within {timeout:.0f} s") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip()[-500:]
        raise SetupError(f"{' '.join(argv)}: exit {error.returncode}: {said}") from error
    return done.stdout


def enter(namespace: str) -> tuple[str, ...]:
    """The argv that runs what follows it inside `namespace`.

    `ip netns exec` would mount a /sys of its own, without cgroups.
    """
    return ("nsenter", f"--net=/run/netns/{namespace}")


class PlainNetwork:
    """Node, client and server; who makes one calls `remove` in the end."""

    def __init__(self, name: str) -> None:
        base = f"{PREFIX}{os.getpid()}-{name}"
        self.node, self.client, self.server = (f"{base}-{end}" for end in ("node", "cli", "srv"))

    def create(self) -> None:
        namespaces = (self.node, self.client, self.server)
        links = (("to-client", self.client), ("to-server", self.server))
        lines = [f"netns add {namespace}" for namespace in namespaces]
        lines += [
            f"link add {link} netns {self.node} type veth peer name eth0 netns {namespace}"
            for link, namespace in links
        ]
        command("ip", "-batch", "-", stdin="\n".join(lines))
        for namespace, address in ((self.client, CLIENT_ADDRESS), (self.server, SERVER_ADDRESS)):
            batch(
                namespace,
                "link set lo up",
                "link set eth0 up",
                f"addr add {address}/24 dev eth0",
                f"route add default via {_gateway(address)}",
            )
        batch(
            self.node,
            "link set lo up",
            "link set to-client up",
            "link set to-server up",
            f"addr add {_gateway(CLIENT_ADDRESS)}/24 dev to-client",
            f"addr add {_gateway(SERVER_ADDRESS)}/24 dev to-server",
        )
        command(*enter(self.node), "sysctl", "-qw", "net.ipv4.ip_forward=1")

    def remove(self) -> None:
        """Remove what `create` made, also if it stopped half-way."""
        for namespace in (self.client, self.server, self.node):
            remove_namespace(namespace)


def remove_namespace(namespace: str) -> None:
    """End every process in a namespace of ours, then the namespace."""
    if not namespace.startswith(PREFIX):
        raise ValueError(f"{namespace} was not made by the bench")
    if not Path("/run/netns", namespace).exists():
        return
    for pid in command("ip", "netns", "pids", namespace).split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue
    command("ip", "netns", "delete", namespace)


def remove_stale() -> None:
    """Remove what runs of the bench that are dead have left behind."""
    for path in Path("/run/netns").glob(f"{PREFIX}*"):
        if _stale(path.name):
            remove_namespace(path.name)
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if _stale(path.name):
            shutil.rmtree(path)


def wait_for_listener(
    inside: tuple[str, ...], port: int, process: subprocess.Popen[str] | None = None
) -> None:
    """Wait until somebody listens on TCP `port` in the namespace that `inside` enters."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            said = process.stdout.read()[-500:] if process.stdout else ""
            raise SetupError(f"the server ended with {process.returncode}: {said}")
        if command(*inside, "ss", "-Hltn", f"sport = :{port}").strip():
            return
        time.sleep(0.05)
    raise SetupError(f"nobody listens on port {port} after 10 s")


def directory(name: str) -> Path:
    """Make a directory for the scenario `name`, by a name that `remove_stale` knows as ours."""
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-{name}-"))


def _stale(name: str) -> bool:
    owner = name.removeprefix(PREFIX).partition("-")[0]
    return owner.isdigit() and not Path("/proc", owner).exists()


def batch(namespace: str, *lines: str) -> None:
    command("ip", "-n", namespace, "-batch", "-", stdin="\n".join(lines))


def _gateway(address: str) -> str:
    return address.rpartition(".")[0] + ".1"

"""Programs of Kubernetes in a network namespace, which end with the tests whatever happens."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.kubernetes import cache


class Programs:
    """At most one of each name; what they say goes to NAME.log in `logs`."""

    def __init__(self, netns: Path, logs: Path) -> None:
        self.prefix = ["nsenter", f"--net={netns}"]
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self,
        name: str,
        *options: str | Path,
        cgroup: Path | None = None,
        within: Sequence[str | Path] = (),
    ) -> None:
        """It finds its helpers beside it, begins in `cgroup`, and is run by what `within` runs."""
        path = cache.program(name)
        line = [*self.prefix, *within, "setpriv", "--pdeathsig=KILL", path, *options]
        if cgroup is not None:
            line = ["sh", "-c", 'echo $$ >"$0" && exec "$@"', cgroup / "cgroup.procs", *line]
        environment = {**os.environ, "PATH": f"{path.parent}:{os.environ['PATH']}"}
        with (self._logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )

    def runs(self, name: str) -> bool:
        return name in self._running and self._running[name].poll() is None

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def kill(self, name: str) -> None:
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """All of them, those started last first."""
        for name in reversed(list(self._running)):
            self.kill(name)

    def check(self) -> None:
        """Raises AssertionError if one has ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise AssertionError(f"{name} ended with {process.returncode}\n{self.said(name)}")

    def said(self, name: str) -> str:
        """The end of it."""
        text = (self._logs / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-20:])

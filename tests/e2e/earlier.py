"""Tulle as it was at an earlier tag: built from its sources, run beside today's."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.e2e.mesh import Mesh

# `git archive v0.1.0 bpf src | xz -9e`: a checkout may come without history, and without git
ARCHIVE = Path(__file__).with_name("v0.1.0.tar.xz")
FLAGS = ("-O2", "-g", "-target", "bpf", "-mcpu=v3", "-fdebug-compilation-dir=.", "-I", "bpf")


def build(target: Path) -> Path:
    """The sources of the tag below `target`, with their BPF objects; its Python path."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(target)  # noqa: S202
    objects = target / "src/tulle/objects"
    objects.mkdir(exist_ok=True)
    headers = f"/usr/include/{platform.machine()}-linux-gnu"
    for source in (target / "bpf").glob("*.bpf.c"):
        made = objects / source.with_suffix(".o").name
        command = ["clang-19", *FLAGS, "-idirafter", headers, "-c", source, "-o", made]
        subprocess.run(command, cwd=target, check=True)
    return target / "src"


class Earlier(Mesh):
    """A node of the earlier version, driven by its own command line."""

    def __init__(self, name: str, source: Path) -> None:
        super().__init__(name)
        self._command = (sys.executable, "-P", "-m", "tulle.cli", "--node", name)
        self._environment = {**os.environ, "PYTHONPATH": str(source)}

    def start(self) -> None:
        self.tulle("lab", "up", self.name)

    def tulle(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        done = subprocess.run(
            [*self._command, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env=self._environment,
        )
        if check and done.returncode:
            raise AssertionError(f"tulle {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

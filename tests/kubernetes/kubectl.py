"""kubectl, as an administrator beside the nodes would call it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.e2e.mesh import wait_for

Json = dict[str, Any]
KUBECTL = Path(sys.executable).with_name("kubectl")


class Kubectl:
    """`prefix` is a command line that brings another into the control plane's network."""

    def __init__(self, prefix: Sequence[str | Path], kubeconfig: Path, cache: Path) -> None:
        self.line = [*prefix, KUBECTL, f"--kubeconfig={kubeconfig}", f"--cache-dir={cache}"]

    def __call__(
        self, *words: str, stdin: str = "", check: bool = True, timeout_s: float = 60.0
    ) -> str:
        """What it says; with `check` raises AssertionError if it fails."""
        done = subprocess.run(
            [*self.line, *words], input=stdin, capture_output=True, text=True, timeout=timeout_s
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout if check else done.stdout + done.stderr

    def apply(self, *objects: Json, manager: str = "") -> None:
        """As `kubectl apply` with a file does; with `manager` it is server-side, and forced."""
        side = ("--server-side", "--force-conflicts", f"--field-manager={manager}")
        words = side if manager else ()
        self("apply", *words, "-f", "-", stdin=_list(objects))

    def create(self, *objects: Json) -> None:
        self("create", "-f", "-", stdin=_list(objects))

    def replace(self, *objects: Json) -> None:
        self("replace", "-f", "-", stdin=_list(objects))

    def delete(self, *objects: Json) -> None:
        """Returns when they are gone; one that is gone already is no error."""
        self("delete", "--ignore-not-found", "-f", "-", stdin=_list(objects))

    def get(self, kind: str, name: str, namespace: str = "") -> Json | None:
        """The object, or None."""
        where = ["-n", namespace] if namespace else []
        text = self("get", kind, name, *where, "--ignore-not-found", "-o", "json")
        return json.loads(text) if text else None

    def list(self, kind: str, *words: str) -> list[Json]:
        return json.loads(self("get", kind, "-o", "json", *words))["items"]

    def wait(
        self,
        kind: str,
        name: str,
        namespace: str,
        condition: Callable[[Json], object],
        timeout_s: float = 20.0,
    ) -> Json:
        """The object, once it is there and `condition` holds for it."""
        found: list[Json] = []

        def holds() -> bool:
            found[:] = [item] if (item := self.get(kind, name, namespace)) else []
            return bool(found and condition(found[0]))

        try:
            wait_for(holds, timeout_s)
        except AssertionError as error:
            seen = json.dumps(found[0], indent=1) if found else "nothing"
            raise AssertionError(f"{kind} {namespace}/{name} in time: there is {seen}") from error
        return found[0]


def _list(objects: Sequence[Json]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})

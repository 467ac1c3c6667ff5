"""Refuses to build a wheel without what `./run build` makes: it would install and then not run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ObjectsHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files; `version` is "standard" or "editable".

        Raises FileNotFoundError if something is missing from a wheel that leaves this tree.
        """
        if version == "editable":
            return
        root = Path(self.root)
        objects = [f"objects/{source.stem}.o" for source in sorted(root.glob("bpf/*.bpf.c"))]
        wanted = [*objects, "xds/descriptors.binpb"]
        missing = [name for name in wanted if not (root / "src/tulle" / name).is_file()]
        if missing or not objects:
            names = ", ".join(missing) or "BPF object"
            raise FileNotFoundError(f"no {names}: run `./run wheel`")

"""The plugin and its configuration in a node's directories, where a container engine finds them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from tulle.errors import Refused, Unavailable

PLUGIN = "tulle"
LOOPBACK = "loopback"  # containerd before 1.7 starts no pod where there is none
CONFIGURATION = "05-tulle.conflist"  # before others: engines take the first
_VERSION = "1.0.0"  # of CNI: the newest that every engine in use reads
_MARK = "@SOCKET@"


def install(bin_dir: Path, conf_dir: Path, socket: Path, *, chained: bool) -> None:
    """Raises Unavailable if it is to be chained after a configuration that is not there yet."""
    wanted = _chained(conf_dir) if chained else _alone()
    source = files("tulle.cni").joinpath("plugin.py").read_text()
    if _MARK not in source:
        raise Refused("this plugin has a socket written in already")
    content = source.replace(_MARK, str(socket)).encode()
    _place(bin_dir / PLUGIN, content)
    if not (bin_dir / LOOPBACK).exists() or _is_ours(bin_dir / LOOPBACK):
        _place(bin_dir / LOOPBACK, content)
    _overwrite(conf_dir / CONFIGURATION, json.dumps(wanted, indent=1).encode() + b"\n")


def remove(bin_dir: Path, conf_dir: Path) -> None:
    """The configuration first: nobody is to look for a plugin that is gone."""
    (conf_dir / CONFIGURATION).unlink(missing_ok=True)
    (bin_dir / PLUGIN).unlink(missing_ok=True)
    if _is_ours(bin_dir / LOOPBACK):
        (bin_dir / LOOPBACK).unlink()


def _is_ours(path: Path) -> bool:
    begin = files("tulle.cni").joinpath("plugin.py").read_bytes().partition(b"\nimport")[0]
    return path.exists() and path.read_bytes().startswith(begin)


def _place(path: Path, content: bytes) -> None:
    """In one step: a pod may be starting."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(content)
    fresh.chmod(0o755)
    fresh.replace(path)


def _overwrite(path: Path, content: bytes) -> None:
    """In place, as containerd's watch misses a file that is renamed to that name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_bytes() == content:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def _alone() -> dict[str, Any]:
    return {"cniVersion": _VERSION, "name": "tulle", "plugins": [{"type": PLUGIN}]}


def _chained(conf_dir: Path) -> dict[str, Any]:
    """What the engine would take without us, with us behind it."""
    for path in _configurations(conf_dir):
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise Unavailable(f"{path}: cannot be read: {error}") from error
        return _behind(found, path)
    raise Unavailable(f"{conf_dir}: there is no other plugin's configuration to be chained after")


def _behind(found: Any, path: Path) -> dict[str, Any]:
    """Under the same name: by that others know which addresses they have given out."""
    is_list = path.suffix == ".conflist"
    plugins = found.get("plugins") if is_list and isinstance(found, dict) else [found]
    if not isinstance(plugins, list) or not all(isinstance(item, dict) for item in plugins):
        raise Unavailable(f"{path}: plugins: is no list of plugins' configurations")
    others = [item for item in plugins if item.get("type") != PLUGIN]
    if not others:
        raise Unavailable(f"{path}: plugins: there is none to be chained after")
    named = {name: found[name] for name in ("cniVersion", "name") if name in found}
    whole = found if is_list else named
    made = {"cniVersion": _VERSION, "name": PLUGIN, **whole}
    return {**made, "plugins": [*others, {"type": PLUGIN}]}


def _configurations(conf_dir: Path) -> Iterator[Path]:
    for path in sorted(conf_dir.glob("*")):
        if path.suffix in (".conflist", ".conf", ".json") and path.name != CONFIGURATION:
            yield path

"""Builds the image of deploy/Containerfile without a container engine: an OCI archive.

`oci_image.py WHEEL SITE ARCHIVE NAME`: SITE holds what requirements/image.txt names, installed. The
operating system is that of the machine, a Debian: its packages of Python and libbpf with all they
depend on. For `ctr images import`, `podman load` and `skopeo copy oci-archive:…`.
"""

from __future__ import annotations

import hashlib
import io
import json
import marshal
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path
from typing import Any

PACKAGES = ("python3", "libbpf1", "libstdc++6", "ca-certificates")
SITE = "opt/tulle/site-packages"
MADE_AT_INSTALLATION = (Path("/etc/ssl/certs/ca-certificates.crt"),)
# Debian's maintainer scripts and what they call: nothing in the image runs them
WITHOUT = re.compile(r"/usr/share/(doc|man|locale|lintian|bug|info|bash-completion)/")
NOT_NEEDED = re.compile(r"debconf|openssl|dpkg|perl|tar|media-types|mime-support|readline-common")
SYSTEM_DIRECTORIES = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")  # links into /usr
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
TAG = sys.implementation.cache_tag
UNCHECKED = (1).to_bytes(4, "little")  # the flags of a pyc that stands without its source's time
USER = "tulle:x:65532:65532::/:/usr/sbin/nologin"

LAUNCHER = f"""\
#!/usr/bin/python3 -I
import sys

sys.path.insert(0, "/{SITE}")
from tulle.cli import main

main()
"""


class Archive:
    """An OCI image layout in a tar; the same input gives the same bytes."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w")  # noqa: SIM115 (closed by `close`)

    def layer(self, entries: Iterable[tuple[tarfile.TarInfo, bytes | Path]]) -> dict[str, Any]:
        """Sorted, each path once, with the directories above it."""
        with tempfile.TemporaryFile() as content:
            with tarfile.open(fileobj=content, mode="w") as tar:
                for entry, data in _complete(entries):
                    if isinstance(data, Path):
                        with data.open("rb") as file:
                            tar.addfile(entry, file)
                    else:
                        tar.addfile(entry, io.BytesIO(data))
            content.seek(0)
            digest = hashlib.file_digest(content, "sha256").hexdigest()
            size = content.tell()
            content.seek(0)
            self._add(f"blobs/sha256/{digest}", content, size)
        return _descriptor("layer.v1.tar", digest, size)

    def close(self, name: str, layers: list[dict[str, Any]], config: dict[str, Any]) -> None:
        whole = {
            "architecture": MACHINES[os.uname().machine],
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self._blob(whole, "config.v1+json"),
            "layers": layers,
        }
        names = {
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name.rpartition(":")[2],
        }
        descriptor = {**self._blob(manifest, "manifest.v1+json"), "annotations": names}
        index = {"schemaVersion": 2, "manifests": [descriptor]}
        self._text("index.json", json.dumps(index))
        self._text("oci-layout", '{"imageLayoutVersion": "1.0.0"}')
        self._tar.close()

    def _blob(self, value: dict[str, Any], kind: str) -> dict[str, Any]:
        content = json.dumps(value, sort_keys=True).encode()
        digest = hashlib.sha256(content).hexdigest()
        self._add(f"blobs/sha256/{digest}", io.BytesIO(content), len(content))
        return _descriptor(kind, digest, len(content))

    def _text(self, name: str, text: str) -> None:
        self._add(name, io.BytesIO(text.encode()), len(text.encode()))

    def _add(self, name: str, content: Any, size: int) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = size
        self._tar.addfile(entry, content)


def _descriptor(kind: str, digest: str, size: int) -> dict[str, Any]:
    media_type = f"application/vnd.oci.image.{kind}"
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}


def _complete(
    entries: Iterable[tuple[tarfile.TarInfo, bytes | Path]],
) -> Iterator[tuple[tarfile.TarInfo, bytes | Path]]:
    found = {entry.name: (entry, data) for entry, data in entries}
    for name in list(found):
        for parent in list(Path(name).parents)[:-1]:
            found.setdefault(str(parent), (directory(str(parent)), b""))
    yield from (found[name] for name in sorted(found))


def directory(name: str, mode: int = 0o755) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    return entry


def text(name: str, content: str, mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = mode, len(content.encode())
    return entry, content.encode()


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    return entry, b""


def taken(path: Path, name: str) -> tuple[tarfile.TarInfo, bytes | Path]:
    """A file of this machine as it is, root's and without its time."""
    if path.is_symlink():
        return link(name, str(path.readlink()))
    entry = tarfile.TarInfo(name)
    entry.mode = path.stat().st_mode & 0o755
    if path.is_dir():
        return directory(name), b""
    entry.size = path.stat().st_size
    return entry, path


# --- what the image holds ------------------------------------------------------------------------


def packages(names: Iterable[str]) -> list[str]:
    """These and what they depend on, of what is installed."""
    found: list[str] = []
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found or NOT_NEEDED.match(name):
            continue
        done = _dpkg("-W", "-f=${Pre-Depends}, ${Depends}", name, check=name in names)
        if done is None:
            continue  # another alternative of a dependency is installed
        found.append(name)
        waiting += re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9.+-]+)", done)
    return sorted(found)


def _dpkg(*words: str, check: bool) -> str | None:
    done = subprocess.run(["dpkg-query", *words], capture_output=True, text=True)
    if done.returncode and check:
        raise SystemExit(f"dpkg-query {' '.join(words)}: {done.stderr.strip()}")
    return None if done.returncode else done.stdout


def system() -> Iterator[tuple[tarfile.TarInfo, bytes | Path]]:
    """The operating system, as far as Python and libbpf need it."""
    for name in SYSTEM_DIRECTORIES:
        if Path("/", name).is_symlink():
            yield link(name, f"usr/{name}")
    for package in packages(PACKAGES):
        for line in (_dpkg("-L", package, check=True) or "").splitlines():
            path = Path(line)
            if not WITHOUT.match(line) and not path.is_dir() and os.path.lexists(path):
                inside = re.sub(rf"^/({'|'.join(SYSTEM_DIRECTORIES)})/", r"/usr/\1/", line)
                yield taken(path, inside.lstrip("/"))
    yield from (taken(path, str(path).lstrip("/")) for path in MADE_AT_INSTALLATION)
    yield link("var/run", "/run")
    yield directory("tmp", 0o1777), b""
    yield from ((directory(name), b"") for name in ("proc", "sys", "dev", "run", "var/lib"))
    yield text("etc/passwd", f"root:x:0:0:root:/:/usr/sbin/nologin\n{USER}\n")
    yield text("etc/group", "root:x:0:\ntulle:x:65532:\n")


def dependencies(site: Path) -> Iterator[tuple[tarfile.TarInfo, bytes | Path]]:
    for path in sorted(site.rglob("*")):
        if "__pycache__" not in path.parts and not path.is_dir():
            yield taken(path, f"{SITE}/{path.relative_to(site)}")


def program(wheel: Path) -> Iterator[tuple[tarfile.TarInfo, bytes | Path]]:
    """Tulle itself, the layer that changes from version to version."""
    with zipfile.ZipFile(wheel) as packed:
        for info in packed.infolist():
            entry = tarfile.TarInfo(f"{SITE}/{info.filename}")
            entry.mode, entry.size = 0o644, info.file_size
            yield entry, packed.read(info)
    yield text("usr/bin/tulle", LAUNCHER, 0o755)


def compiled(
    entries: Iterable[tuple[tarfile.TarInfo, bytes | Path]],
) -> Iterator[tuple[tarfile.TarInfo, bytes | Path]]:
    """With what Python would else compile at each start, as nobody may write there."""
    for entry, data in entries:
        yield entry, data
        if not entry.name.endswith(".py") or not entry.isfile():
            continue
        source = data.read_bytes() if isinstance(data, Path) else data
        try:
            code = compile(source, f"/{entry.name}", "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError):
            continue  # a template, or a test of what cannot be compiled
        content = MAGIC_NUMBER + UNCHECKED + source_hash(source) + marshal.dumps(code)
        path = Path(entry.name)
        made = tarfile.TarInfo(f"{path.parent}/__pycache__/{path.stem}.{TAG}.pyc")
        made.mode, made.size = 0o644, len(content)
        yield made, content


def main() -> int:
    if sys.base_prefix != "/usr":
        raise SystemExit("oci_image.py: run it with Debian's own Python, which the image holds")
    wheel, site, archive, name = sys.argv[1:]
    made = Archive(Path(archive))
    parts = (system(), dependencies(Path(site)), program(Path(wheel)))
    layers = [made.layer(compiled(part)) for part in parts]
    made.close(name, layers, {"Entrypoint": ["tulle"], "Env": ["PATH=/usr/sbin:/usr/bin"]})
    return 0


if __name__ == "__main__":
    sys.exit(main())

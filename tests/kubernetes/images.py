"""Container images out of single programs, as archives that containerd imports."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tests.kubernetes import cache
from tests.kubernetes.kubectl import Json
from tulle import __version__

PAUSE, AGNHOST, BUSYBOX = "localhost/pause:1", "localhost/agnhost:1", "localhost/busybox:1"
HOST = "localhost/host:1"  # empty: its programs are this machine's, from a volume at /usr
TULLE, NEXT = f"localhost/tulle:{__version__}", "localhost/tulle:next"
_LAYER, _MANIFEST, _CONFIG = (
    f"application/vnd.oci.image.{kind}"
    for kind in ("layer.v1.tar", "manifest.v1+json", "config.v1+json")
)


class Archive:
    """An OCI image layout in a tar file; images share what is the same."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w")  # noqa: SIM115 (closed by `close`)
        self._known: dict[str, int] = {}
        self._manifests: list[Json] = []

    def layer(self, files: dict[str, Path], links: dict[str, str]) -> Json:
        """Programs by the path that they get, and links by theirs."""
        with io.BytesIO() as content:
            with tarfile.open(fileobj=content, mode="w") as tar:
                for path, program in files.items():
                    tar.add(program.resolve(), path, filter=_plain)
                for path, target in links.items():
                    link = tarfile.TarInfo(path)
                    link.type, link.linkname = tarfile.SYMTYPE, target
                    tar.addfile(link)
            return self._blob(content.getvalue(), _LAYER)

    def image(self, name: str, layers: Sequence[Json], entrypoint: Sequence[str]) -> None:
        machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
        digests = [layer["digest"] for layer in layers]
        config = {
            "architecture": machine,
            "os": "linux",
            "config": {"Entrypoint": list(entrypoint), "Env": ["PATH=/bin:/sbin"]},
            "rootfs": {"type": "layers", "diff_ids": digests},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self._blob(json.dumps(config).encode(), _CONFIG),
            "layers": list(layers),
        }
        descriptor = self._blob(json.dumps(manifest).encode(), _MANIFEST)
        self._manifests.append({**descriptor, "annotations": {"io.containerd.image.name": name}})

    def close(self) -> None:
        index = {"schemaVersion": 2, "manifests": self._manifests}
        self._add("index.json", json.dumps(index).encode())
        self._add("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        self._tar.close()

    def _blob(self, content: bytes, media_type: str) -> Json:
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._known:
            self._known[digest] = len(content)
            self._add(f"blobs/sha256/{digest}", content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def _add(self, name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        self._tar.addfile(entry, io.BytesIO(content))


def archive(path: Path) -> Path:
    """What every pod of the tests is made of: a sandbox's program, a test server, and a shell."""
    made = Archive(path)
    agnhost = made.layer({"bin/agnhost": cache.program("agnhost")}, {})
    shell = made.layer(
        {"bin/busybox": cache.program("busybox")},
        {f"bin/{name}": "busybox" for name in ("sh", "sleep", "nc", "ip", "cat", "env")},
    )
    made.image(PAUSE, [agnhost], ["/bin/agnhost", "pause"])
    made.image(AGNHOST, [agnhost, shell], ["/bin/agnhost"])
    made.image(BUSYBOX, [shell], ["/bin/sh"])
    merged = {name: f"usr/{name}" for name in ("bin", "lib", "lib64", "sbin")}
    made.image(HOST, [made.layer({}, merged)], [])
    made.close()
    return path


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime, entry.mode = 0, 0o755
    return entry

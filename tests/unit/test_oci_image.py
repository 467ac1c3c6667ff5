"""The image that is built without a container engine, in small."""

from __future__ import annotations

import json
import marshal
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from tools.oci_image import SITE, Archive, compiled, dependencies, packages, program, taken


def read(path: Path) -> tuple[dict[str, Any], list[tarfile.TarFile], str]:
    """Configuration, layers and name of the one image in an archive."""
    archive = tarfile.open(path)  # noqa: SIM115

    def blob(descriptor: dict[str, Any]) -> Any:
        found = archive.extractfile(f"blobs/sha256/{descriptor['digest'].partition(':')[2]}")
        assert found is not None
        return found

    index = archive.extractfile("index.json")
    assert index is not None
    (described,) = json.load(index)["manifests"]
    manifest = json.load(blob(described))
    layers = [tarfile.open(fileobj=blob(item)) for item in manifest["layers"]]  # noqa: SIM115
    name = described["annotations"]["io.containerd.image.name"]
    return json.load(blob(manifest["config"])), layers, name


def build(path: Path, site: Path, wheel: Path) -> Path:
    made = Archive(path)
    layers = [made.layer(compiled(dependencies(site))), made.layer(compiled(program(wheel)))]
    made.close("tulle:1", layers, {"Entrypoint": ["tulle"]})
    return path


def sources(tmp_path: Path) -> tuple[Path, Path]:
    site, wheel = tmp_path / "site", tmp_path / "x.whl"
    (site / "pack" / "__pycache__").mkdir(parents=True)
    (site / "pack" / "__init__.py").write_text("VALUE = 7\n")
    (site / "pack" / "__pycache__" / "old.pyc").write_bytes(b"old")
    (site / "pack" / "broken.py").write_text("def (\n")
    (site / "pack" / "link").symlink_to("__init__.py")
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("tulle/__init__.py", "")
    return site, wheel


def test_layers_hold_what_was_given_and_what_is_compiled_of_it(tmp_path: Path) -> None:
    config, layers, name = read(build(tmp_path / "a.tar", *sources(tmp_path)))
    assert (name, config["config"]["Entrypoint"]) == ("tulle:1", ["tulle"])
    assert len(config["rootfs"]["diff_ids"]) == 2
    names = layers[0].getnames()
    assert names == sorted(names)
    assert "opt" in names
    assert f"{SITE}/pack/__pycache__/old.pyc" not in names
    (pyc,) = (name for name in names if name.endswith(".pyc"))
    content = layers[0].extractfile(pyc)
    assert content is not None
    scope: dict[str, Any] = {}
    exec(marshal.loads(content.read()[16:]), scope)  # noqa: S102, S302
    assert scope["VALUE"] == 7
    launcher = layers[1].getmember("usr/bin/tulle")
    assert launcher.mode == 0o755


def test_the_same_gives_the_same(tmp_path: Path) -> None:
    given = sources(tmp_path)
    first = build(tmp_path / "a.tar", *given).read_bytes()
    (given[0] / "pack" / "__init__.py").touch()
    assert build(tmp_path / "b.tar", *given).read_bytes() == first


def test_files_are_root_s_without_their_time_and_no_one_else_writes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    path.chmod(0o777)
    entry, _ = taken(path, "file")
    assert (entry.uid, entry.gid, entry.mtime, entry.mode) == (0, 0, 0, 0o755)


def test_packages_are_complete() -> None:
    found = packages(("libbpf1",))
    assert {"libbpf1", "libc6", "libelf1", "zlib1g"} <= set(found)

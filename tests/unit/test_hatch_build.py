"""A wheel that lacks what is built is refused; an editable install, which builds later, is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tools.hatch_build import ObjectsHook


def initialize(root: Path, version: str) -> None:
    unused: Any = None
    ObjectsHook(str(root), {}, unused, unused, "", "wheel").initialize(version, {})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "bpf").mkdir()
    (tmp_path / "src/tulle/objects").mkdir(parents=True)
    (tmp_path / "src/tulle/xds").mkdir()
    (tmp_path / "bpf/pod.bpf.c").touch()
    (tmp_path / "src/tulle/xds/descriptors.binpb").touch()
    return tmp_path


def test_a_complete_wheel(root: Path) -> None:
    (root / "src/tulle/objects/pod.bpf.o").touch()
    initialize(root, "standard")


def test_a_missing_object(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no objects/pod\.bpf\.o: run `./run wheel`"):
        initialize(root, "standard")


def test_missing_descriptors(root: Path) -> None:
    (root / "src/tulle/objects/pod.bpf.o").touch()
    (root / "src/tulle/xds/descriptors.binpb").unlink()
    with pytest.raises(FileNotFoundError, match=r"no xds/descriptors\.binpb"):
        initialize(root, "standard")


def test_editable_needs_no_object(root: Path) -> None:
    initialize(root, "editable")


def test_a_tree_without_sources_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        initialize(tmp_path, "standard")

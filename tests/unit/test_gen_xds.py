"""The descriptor set is complete in itself, and holds what its sources say."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from tools.gen_xds import (
    ANNOTATIONS,
    NEWER_FIELDS,
    add_newer,
    descriptor_in,
    message_in,
    roots,
    without_annotations,
)

BUILT = Path("src/tulle/xds/descriptors.binpb")


@pytest.fixture(scope="module")
def built() -> FileDescriptorSet:
    return FileDescriptorSet.FromString(BUILT.read_bytes())


def test_every_import_comes_before_its_importer(built: FileDescriptorSet) -> None:
    seen: set[str] = set()
    for file in built.file:
        assert set(file.dependency) <= seen, file.name
        seen.add(file.name)


def test_annotations_are_left_out(built: FileDescriptorSet) -> None:
    assert not [file.name for file in built.file if file.name.startswith(ANNOTATIONS)]
    before = built.SerializeToString()
    built.DiscardUnknownFields()
    assert built.SerializeToString() == before


def test_public_imports_keep_their_meaning() -> None:
    file = FileDescriptorProto(
        name="a.proto",
        dependency=["validate/validate.proto", "b.proto", "c.proto"],
        public_dependency=[2],
    )
    kept = without_annotations(file)
    assert (list(kept.dependency), list(kept.public_dependency)) == (["b.proto", "c.proto"], [1])


def test_a_module_is_read_and_not_run(tmp_path: Path) -> None:
    module = tmp_path / "a_pb2.py"
    serialised = FileDescriptorProto(name="a.proto").SerializeToString()
    module.write_text(f"DESCRIPTOR = pool().AddSerializedFile({serialised!r})\nraise SystemExit\n")
    assert descriptor_in(module).name == "a.proto"
    module.write_text("raise SystemExit\n")
    with pytest.raises(ValueError, match="no descriptor"):
        descriptor_in(module)


def test_a_root_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="envoy/config/accesslog/v3/: not in"):
        list(roots(tmp_path))


def test_what_is_newer_than_the_sources_is_there(built: FileDescriptorSet) -> None:
    for name, (field, number, _) in NEWER_FIELDS:
        assert (field, number) in {
            (item.name, item.number) for item in message_in(built, name).field
        }
    with pytest.raises(ValueError, match="is in xds-protos"):
        add_newer(built)


def test_a_message_that_is_nowhere_is_told(built: FileDescriptorSet) -> None:
    with pytest.raises(KeyError):
        message_in(built, "envoy.config.cluster.v3.CircuitBreakers.Nothing.RetryBudget")

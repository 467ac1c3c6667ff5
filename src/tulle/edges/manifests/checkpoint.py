"""The objects in force, kept on disk: what was good stays good over a restart of the agent.

A file of JSON lines, each an object that is in force from then on, or is no more. A change adds
its lines; now and then the file is written anew. A last line without its end was cut off by a
kill and never counted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from tulle.errors import ManifestError, Refused, Unavailable
from tulle.model.kinds import KINDS, KubernetesObject
from tulle.model.kubernetes import ObjectRef

from .files import shown, write_whole
from .parse import Placed
from .validate import validate

_SLACK_BYTES = 1 << 20  # superseded lines beyond the file's first size, before it is written anew


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    ref: ObjectRef
    file: str = ""
    line: int = 0
    object: msgspec.Raw = msgspec.Raw()  # empty: it is no longer in force


class _OldEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As version 0.1 wrote all of them, in one array."""

    file: str
    line: int
    object: msgspec.Raw


class _Identity(msgspec.Struct, rename="camel"):
    kind: str
    metadata: _Metadata


class _Metadata(msgspec.Struct):
    name: str
    namespace: str = ""


_ENTRY = msgspec.json.Decoder(_Entry)
_ENCODER = msgspec.json.Encoder()


class Checkpoint:
    """One agent's; `load` before anything else."""

    def __init__(
        self, path: Path, check: Callable[[KubernetesObject], KubernetesObject] = validate
    ) -> None:
        """What is recalled passes `check`."""
        self._path, self._check = path, check
        self._entries: dict[ObjectRef, _Entry] = {}  # what was loaded, until the first `save`
        self._fd = -1
        self._base = self._size = 0  # bytes: when it was written anew, and now

    def load(self) -> dict[str, list[ObjectRef]]:
        """What was in force, by file; nothing if nothing was saved. Raises Refused."""
        try:
            last = {entry.ref: entry for entry in _entries(self._path.read_bytes())}
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            raise Refused(f"{shown(self._path)} cannot be used: {error}") from error
        self._entries = {ref: entry for ref, entry in last.items() if bytes(entry.object)}
        by_file: dict[str, list[ObjectRef]] = {}
        for ref, entry in self._entries.items():
            by_file.setdefault(entry.file, []).append(ref)
        return by_file

    def recall(self, ref: ObjectRef) -> Placed | None:
        """An object that `load` spoke of. Raises Refused if it cannot be read any more."""
        entry = self._entries.get(ref)
        if entry is None:
            return None
        try:
            obj = self._check(msgspec.json.decode(entry.object, type=KINDS[ref.kind]))
        except (msgspec.MsgspecError, ManifestError, LookupError) as error:
            raise Refused(f"{ref} in {shown(self._path)} cannot be used: {error}") from error
        return Placed(obj, entry.file, entry.line)

    def save(self, held: Mapping[ObjectRef, Placed], changed: Iterable[ObjectRef]) -> None:
        """`changed` names what is not as it was at the last `save`. Raises Unavailable.

        After the first `save`, `recall` knows nothing any more.
        """
        if self._entries:
            if not self._says(held):
                self._write_anew(held)
            self._entries = {}
        else:
            self._add(held, changed)

    def _add(self, held: Mapping[ObjectRef, Placed], changed: Iterable[ObjectRef]) -> None:
        if self._fd < 0 or not os.fstat(self._fd).st_nlink or self._has_outgrown():
            self._write_anew(held)
            return
        lines = b"".join(_line(ref, held.get(ref)) for ref in changed)
        try:
            # One write: a kill leaves all of it, or a part that has no end.
            if os.write(self._fd, lines) != len(lines):
                raise OSError(0, "No space left on device")
        except OSError as error:
            self.close()
            raise Unavailable(f"cannot write {shown(self._path)}: {error.strerror}") from error
        self._size += len(lines)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _says(self, held: Mapping[ObjectRef, Placed]) -> bool:
        """Whether what `load` found is what there is to save."""
        return self._entries.keys() == held.keys() and all(
            (entry.file, bytes(entry.object)) == (held[ref].file, _ENCODER.encode(held[ref].obj))
            for ref, entry in self._entries.items()
        )

    def _has_outgrown(self) -> bool:
        return self._size > 2 * self._base + _SLACK_BYTES

    def _write_anew(self, held: Mapping[ObjectRef, Placed]) -> None:
        self.close()
        write_whole(self._path, (_line(ref, item) for ref, item in held.items()))
        try:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            self._base = self._size = os.fstat(self._fd).st_size
        except OSError as error:
            raise Unavailable(f"cannot write {shown(self._path)}: {error.strerror}") from error


def _line(ref: ObjectRef, item: Placed | None) -> bytes:
    entry = _Entry(ref)
    if item:
        entry = _Entry(ref, item.file, item.line, msgspec.Raw(_ENCODER.encode(item.obj)))
    return _ENCODER.encode(entry) + b"\n"


def _entries(data: bytes) -> Iterator[_Entry]:
    """Raises MsgspecError."""
    if data.startswith(b"["):
        for old in msgspec.json.decode(data, type=list[_OldEntry]):
            found = msgspec.json.decode(old.object, type=_Identity)
            ref = ObjectRef(found.kind, found.metadata.namespace, found.metadata.name)
            yield _Entry(ref, old.file, old.line, old.object)
        return
    lines = data.split(b"\n")
    yield from map(_ENTRY.decode, lines[:-1])

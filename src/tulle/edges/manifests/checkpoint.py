"""The objects in force, kept on disk: what was good stays good over a restart of the agent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from tulle.errors import ManifestError, Refused
from tulle.model.kinds import KINDS, ref_of
from tulle.model.kubernetes import ObjectRef

from .files import write_whole
from .render import to_document
from .settle import Held
from .validate import validate


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    file: str
    line: int
    object: dict[str, Any]


def save(path: Path, held: Mapping[ObjectRef, Held]) -> None:
    """Raises Unavailable if the file cannot be written."""
    entries = [_Entry(old.file, old.line, to_document(old.obj)) for old in held.values()]
    write_whole(path, msgspec.json.encode(entries))


def load(path: Path) -> dict[ObjectRef, Held]:
    """What `save` wrote; nothing if it never did. Raises Refused if it cannot be used."""
    try:
        entries = msgspec.json.decode(path.read_bytes(), type=list[_Entry])
        found = [Held(_object(entry.object), entry.file, entry.line) for entry in entries]
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError, ManifestError, LookupError, TypeError) as error:
        raise Refused(f"{path} cannot be used: {error}") from error
    return {ref_of(old.obj): old for old in found}


def _object(document: dict[str, Any]) -> Any:
    return validate(msgspec.convert(document, KINDS[document["kind"]]))

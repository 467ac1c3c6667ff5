"""What an API server says of one object → the object as Tulle takes it from a file. Pure.

Servers add to what users wrote, newer ones more than the model knows. In core kinds, which every
server fills with defaults, what is unknown is left out. In policies and routes it refuses the
object: a rule that cannot be read in full must not be read as a wider one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tulle.edges.manifests.fields import FieldError
from tulle.edges.manifests.schema import known_part, reword, type_of, versions_of, without_nulls
from tulle.edges.manifests.tree import Tree, Value
from tulle.edges.manifests.validate import validate
from tulle.errors import ManifestError
from tulle.model.gateway import Gateway
from tulle.model.kinds import KINDS, KubernetesObject
from tulle.model.kubernetes import Service

from .cores import endpoint_slice, service

Fields = dict[str, Any]

CORE = frozenset(
    {
        "Namespace",
        "Node",
        "Service",
        "EndpointSlice",
        "Secret",
        "ConfigMap",
        "ServiceExport",
        "ServiceImport",
    }
)
_METADATA = (
    "name",
    "namespace",
    "labels",
    "annotations",
    "generation",
    "creationTimestamp",
    "uid",
)
# large or ever changing, and about nothing that is acted on
_NOISE = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "endpoints.kubernetes.io/last-change-trigger-time",
)
_VERSIONS = {name: versions_of(kind) for name, kind in KINDS.items()}
_ADAPT = {"Service": service, "EndpointSlice": endpoint_slice}


def decode(kind: str, raw: bytes, version: str) -> KubernetesObject | None:
    """The object of a kind as `version` has it; None for one that is none of Tulle's business.

    Raises ManifestError, which names the field.
    """
    try:
        return _read(kind, raw, version)
    except ManifestError:
        raise
    except RecursionError as error:
        raise FieldError("is nested too deeply") from error
    except Exception as error:  # at one that we fail at no others end; not its words: a Secret's
        raise FieldError(f"internal error ({type(error).__name__})") from error


def _read(kind: str, raw: bytes, version: str) -> KubernetesObject | None:
    try:
        value = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise FieldError(f"cannot be read: {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("metadata"), dict):
        raise FieldError("is required", "metadata")
    cut: Fields | None = _cut(kind, value, version)
    if cut and (adapt := _ADAPT.get(kind)):
        try:
            cut = adapt(cut)
        except (AttributeError, TypeError, ValueError) as error:
            raise FieldError("is not what an API server would say", "spec") from error
    return checked(_converted(kind, cut)) if cut else None


def checked(obj: KubernetesObject) -> KubernetesObject:
    """As `validate`, but what an API server said of addresses stays."""
    good = validate(obj)
    if isinstance(good, Service | Gateway) and isinstance(obj, Service | Gateway):
        return msgspec.structs.replace(good, status=obj.status)
    return good


def _cut(kind: str, value: Fields, version: str) -> Fields:
    """Without what only servers are interested in."""
    metadata = {name: value["metadata"].get(name) for name in _METADATA}
    annotations = metadata["annotations"]
    if isinstance(annotations, dict):
        kept = {key: text for key, text in annotations.items() if key not in _NOISE}
        metadata["annotations"] = kept
    read = version if version in _VERSIONS[kind] else _VERSIONS[kind][0]
    status = _status(kind, value.pop("status", None))
    made = {**value, "metadata": metadata, "kind": kind, "apiVersion": read}
    return made if status is None else {**made, "status": status}


def _status(kind: str, status: Value) -> Value:
    """What is acted on of it: other controllers' words, and our own that must hold."""
    if not isinstance(status, dict):
        return None
    if kind in ("Service", "Node"):
        return status
    if kind == "Gateway" and status.get("addresses"):
        return {"addresses": status["addresses"]}
    return None


def _converted(kind: str, value: Fields) -> KubernetesObject:
    cls = KINDS[kind]
    clean = (known_part if kind in CORE else without_nulls)(value, type_of(cls))
    try:
        return msgspec.convert(clean, cls)
    except msgspec.ValidationError as error:
        raise reword(error, cls, Tree(clean, (1, 1), {}), ()) from error

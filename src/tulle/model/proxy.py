"""What the node's proxy should have: xDS resources, serialised, by kind and name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from .kubernetes import ObjectRef

XdsKind = Literal["cluster", "endpoints", "secret", "listener", "route", "extension"]


class Resource(NamedTuple):
    """`body` is the serialised message; `origins` are whom to blame if the proxy refuses it."""

    body: bytes
    origins: tuple[ObjectRef, ...] = ()


XdsImage = Mapping[XdsKind, Mapping[str, Resource]]

"""What other objects refer to for its contents: Secret and ConfigMap (core/v1)."""

from __future__ import annotations

from typing import Literal

from msgspec import field

from .kubernetes import Object, ObjectMeta

Texts = dict[str, str]


class Secret(Object, frozen=True):
    """`data` is base64 (RFC 4648, 4); `string_data` has been added to it by whoever reads it.

    Its contents appear in no text that is made of it.
    """

    metadata: ObjectMeta
    data: Texts = field(default_factory=dict)
    string_data: Texts = field(default_factory=dict)
    type: str = "Opaque"
    immutable: bool = False
    api_version: Literal["v1"] = "v1"
    kind: Literal["Secret"] = "Secret"

    def __repr__(self) -> str:
        return f"Secret({self.metadata.namespace}/{self.metadata.name})"

    __str__ = __repr__


class ConfigMap(Object, frozen=True):
    metadata: ObjectMeta
    data: Texts = field(default_factory=dict)
    binary_data: Texts = field(default_factory=dict)
    immutable: bool = False
    api_version: Literal["v1"] = "v1"
    kind: Literal["ConfigMap"] = "ConfigMap"

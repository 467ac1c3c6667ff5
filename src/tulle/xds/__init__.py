"""Envoy's configuration messages, made from descriptors in a pool of their own.

A pool of its own, as the process-wide one holds each `google/…` file but once, whoever brings it.
`./run build` makes descriptors.binpb; reading it, when this is imported, takes some 10 ms.

>>> pack("envoy.config.core.v3.Address", pipe={"path": "/run/a"})
b'\\x12\\x08\\n\\x06/run/a'
"""

from __future__ import annotations

import pkgutil
from functools import cache
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tulle.errors import Broken

TYPE_URL = "type.googleapis.com/"


def _load() -> DescriptorPool:
    serialised = pkgutil.get_data(__name__, "descriptors.binpb")
    if serialised is None:
        raise Broken(f"{__name__} was imported by what cannot read its files")
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(serialised).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _load()


@cache
def message(name: str) -> type[Message]:
    """The class of a message, by its full name. Raises KeyError if there is none such."""
    return GetMessageClass(_POOL.FindMessageTypeByName(name))


def pack(name: str, /, **fields: Any) -> bytes:
    """A message, serialised; the same fields always give the same bytes.

    Messages within are dicts. Raises ValueError for a field or enum that does not exist, TypeError
    for a value of the wrong type.
    """
    return message(name)(**fields).SerializeToString(deterministic=True)


def any_of(name: str, /, **fields: Any) -> dict[str, Any]:
    """The same, as the value of a field of type google.protobuf.Any."""
    return {"type_url": TYPE_URL + name, "value": pack(name, **fields)}

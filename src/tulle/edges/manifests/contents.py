"""Rules of core/v1 Secret and ConfigMap. No error shows what they hold."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping

import msgspec

from tulle.model.contents import ConfigMap, Secret

from .fields import FieldError

_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_MAX_BYTES = 1 << 20
_KEYS_OF_TYPE = {"kubernetes.io/tls": ("tls.crt", "tls.key")}


def validate_secret(secret: Secret) -> Secret:
    """`stringData` is in `data` afterwards, all of it in canonical base64."""
    _check_keys((*secret.data, *secret.string_data))
    data = _canonical(secret.data, "data")
    for key, text in secret.string_data.items():
        data[key] = b64encode(text.encode()).decode()
    for key in _KEYS_OF_TYPE.get(secret.type, ()):
        if key not in data:
            raise FieldError(f"is required for type {secret.type}", "data", key)
    _check_size(data.values())
    return msgspec.structs.replace(secret, data=data, string_data={})


def validate_config_map(config_map: ConfigMap) -> ConfigMap:
    _check_keys((*config_map.data, *config_map.binary_data))
    for key in config_map.binary_data:
        if key in config_map.data:
            raise FieldError("is a key of data too", "binaryData", key)
    binary = _canonical(config_map.binary_data, "binaryData")
    _check_size((*config_map.data.values(), *binary.values()))
    return msgspec.structs.replace(config_map, binary_data=binary)


def _check_keys(keys: Iterable[str]) -> None:
    for key in keys:
        if not _KEY.fullmatch(key) or key in (".", ".."):
            reason = "has a key that is not at most 253 letters, digits, '-', '_' and '.'"
            raise FieldError(reason, "data")


def _canonical(data: Mapping[str, str], field: str) -> dict[str, str]:
    """Kubernetes reads past line breaks in base64."""
    found = {}
    for key, text in data.items():
        try:
            raw = b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
        except (binascii.Error, ValueError):
            raise FieldError("is not base64", field, key) from None
        found[key] = b64encode(raw).decode()
    return found


def _check_size(values: Iterable[str]) -> None:
    if sum(map(len, values)) > _MAX_BYTES * 4 // 3:
        raise FieldError(f"is larger than {_MAX_BYTES >> 20} MiB", "data")

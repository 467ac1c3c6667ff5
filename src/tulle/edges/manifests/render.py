"""An object as the manifest that gives it again."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from tulle.model.kinds import KubernetesObject

from .fields import FieldError
from .tree import plain


def to_document(obj: KubernetesObject) -> dict[str, Any]:
    """Plain values in Kubernetes' words; defaults are left out, apiVersion and kind are not."""
    return {"apiVersion": obj.api_version, "kind": obj.kind, **msgspec.to_builtins(obj)}


def to_yaml(obj: KubernetesObject) -> str:
    return yaml.dump(to_document(obj), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Dumper(yaml.CSafeDumper):
    """Quotes text that `parse` would not take for text; writes values out, without aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def text(self, data: str) -> yaml.ScalarNode:
        try:
            quoted = plain(data) != data
        except FieldError:
            quoted = True
        return self.represent_scalar("tag:yaml.org,2002:str", data, style='"' if quoted else None)


_Dumper.add_representer(str, _Dumper.text)

"""Proxy scopes: whom an Envoy of its own is given, and how much memory, in the user's words.

A scope bears the name of what it is for: "node", "namespace/shop", "gateway/shop/door" or
"service/shop/web".
"""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil

from .kubernetes import ObjectMeta

Scope = str
NODE: Scope = "node"  # of all that asks for nothing else
SCOPE = "tulle.io/proxy-scope"  # on a Namespace, a Gateway or a Service: an annotation or a label
MEMORY = "tulle.io/proxy-memory"  # an annotation beside it: a quantity of Kubernetes

_QUANTITY = re.compile(
    r"\+?(?P<number>\d+(\.\d*)?|\.\d+)(?P<suffix>[KMGTPE]i|[numkMGTPE]?|[eE][+-]?\d{1,2})"
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = "KMGTPE"


def scope_asked(metadata: ObjectMeta) -> str:
    """What is asked for: `node`, `namespace`, `workload`; "" if it says nothing."""
    return metadata.annotations.get(SCOPE) or metadata.labels.get(SCOPE, "")


def tenant_of(scope: Scope) -> str:
    """The namespace in which a scope of one Gateway or Service was asked for; else "".

    >>> tenant_of("service/shop/web"), tenant_of("namespace/shop")
    ('shop', '')
    """
    kind, _, name = scope.partition("/")
    return name.partition("/")[0] if kind in ("gateway", "service") else ""


def memory_asked(metadata: ObjectMeta) -> int:
    """Bytes; 0 if it says nothing."""
    return bytes_of(metadata.annotations.get(MEMORY, "0")) or 0


def bytes_of(quantity: str) -> int | None:
    """A resource quantity of Kubernetes, rounded up as there; None if it is none.

    >>> bytes_of("512Mi"), bytes_of("1.5G"), bytes_of("1e3"), bytes_of("lots")
    (536870912, 1500000000, 1000, None)
    """
    found = _QUANTITY.fullmatch(quantity)
    if found is None or len(quantity) > 32:
        return None
    number, suffix = Fraction(found["number"]), found["suffix"]
    if suffix.endswith("i"):
        return ceil(number * (1 << 10 * (_BINARY.index(suffix[0]) + 1)))
    power = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
    return ceil(number * Fraction(f"1e{power}"))

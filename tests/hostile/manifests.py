"""Hostile manifests for parser and end-to-end tests.

Each is one document, or a file refused as a whole: exactly one clear error, nothing accepted.
"""

from __future__ import annotations

from .bending import bend
from .bent import BENT
from .bent_gateways import BENT_GATEWAYS
from .bent_policies import BENT_POLICIES
from .bent_traffic import BENT_TRAFFIC
from .raw import raw_manifests


def hostile_manifests() -> list[tuple[str, bytes]]:
    """Every hostile manifest with its name; names and order are the same in every run."""
    tables = BENT, BENT_POLICIES, BENT_GATEWAYS, BENT_TRAFFIC
    return [*(item for table in tables for item in bend(table)), *raw_manifests()]

"""Manifests: files of Kubernetes objects, as the standalone source of the World."""

from .directory import ManifestDirectory, Snapshot
from .parse import BadDocument, Parsed, Placed, parse
from .render import to_document, to_yaml
from .validate import validate

__all__ = [
    "BadDocument",
    "ManifestDirectory",
    "Parsed",
    "Placed",
    "Snapshot",
    "parse",
    "to_document",
    "to_yaml",
    "validate",
]

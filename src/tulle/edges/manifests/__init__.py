"""Manifests: files of Kubernetes objects, as the standalone source of the World."""

from .parse import BadDocument, Parsed, Placed, parse
from .validate import validate

__all__ = ["BadDocument", "Parsed", "Placed", "parse", "validate"]

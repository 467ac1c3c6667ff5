"""Routing → xDS: the configuration of the node's proxy. Pure, and made only of what changed."""

from .image import Proxied, proxy_image
from .scopes import Scoped, ScopedImages, scope_of, scope_of_rules, scoped_images

__all__ = [
    "Proxied",
    "Scoped",
    "ScopedImages",
    "proxy_image",
    "scope_of",
    "scope_of_rules",
    "scoped_images",
]

"""Routing → xDS: the configuration of the node's proxy. Pure, and made only of what changed."""

from .image import Proxied, proxy_image

__all__ = ["Proxied", "proxy_image"]

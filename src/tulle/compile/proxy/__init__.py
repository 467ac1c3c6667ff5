"""Routing → xDS: the configuration of the node's proxy. Pure, and made only of what changed."""

from .image import Proxied, proxy_image
from .policy import Policed, policy_image

__all__ = ["Policed", "Proxied", "policy_image", "proxy_image"]

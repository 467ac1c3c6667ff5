"""Policies of tulle.io on the proxy's routing."""

from .attach import attach, route

__all__ = ["attach", "route"]

"""Rules of requests that the kernel can hold: which those are, and what its map has of them."""

from .held import Held, hold

__all__ = ["Held", "hold"]

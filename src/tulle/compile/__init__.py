"""World → Image, and the reference model. Pure: no clock, no I/O, no randomness."""

from .ids import Ids
from .image import Compiled, Image, compile_world

__all__ = ["Compiled", "Ids", "Image", "compile_world"]

"""World → Image, and the reference model. Pure: no clock, no I/O, no randomness."""

from .image import Compiled, Image, compile_world
from .ids import Ids

__all__ = ["Compiled", "Ids", "Image", "compile_world"]

"""World → Image, and the reference model. Pure: no clock, no I/O, no randomness."""

from .ids import Ids
from .image import Compiled, compile_world
from .parts import Image

__all__ = ["Compiled", "Ids", "Image", "compile_world"]

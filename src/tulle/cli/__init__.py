"""What users touch. One file a verb; each imports only what it needs, when it needs it."""

from .group import main

__all__ = ["main"]

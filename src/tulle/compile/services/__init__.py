"""Services of every kind: what they are given, where they lead, and the kernel's rows of them."""

from .allocate import Allocated, with_addresses
from .backends import backends_of, entry_of
from .build import Entry, ServiceParts, service_parts
from .frontend import Backend, Face, Frontend, Kind
from .wishes import addresses_of

__all__ = [
    "Allocated",
    "Backend",
    "Entry",
    "Face",
    "Frontend",
    "Kind",
    "ServiceParts",
    "addresses_of",
    "backends_of",
    "entry_of",
    "service_parts",
    "with_addresses",
]

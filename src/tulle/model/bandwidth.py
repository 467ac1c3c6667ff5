"""How much a workload may send and be sent: CNI's `bandwidth`, and a Pod's annotations for it."""

from __future__ import annotations

from dataclasses import dataclass

from .scopes import bytes_of

INGRESS_ANNOTATION = "kubernetes.io/ingress-bandwidth"
EGRESS_ANNOTATION = "kubernetes.io/egress-bandwidth"
LEAST, MOST = 10**3, 10**15  # bits per second, as kubelets have it


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst_bits` are let through at once; 0 is what suits the rate."""

    bits_per_s: int
    burst_bits: int = 0


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """As the workload sees it; None is without limit."""

    ingress: Limit | None = None
    egress: Limit | None = None

    def __bool__(self) -> bool:
        return bool(self.ingress or self.egress)


UNLIMITED = Bandwidth()


def limit_of(quantity: str) -> Limit | None:
    """Of an annotation's text; None if it is no quantity or out of bounds.

    >>> limit_of("10M"), limit_of("999"), limit_of("fast")
    (Limit(bits_per_s=10000000, burst_bits=0), None, None)
    """
    rate = bytes_of(quantity)
    return Limit(rate) if rate is not None and LEAST <= rate <= MOST else None

"""Lines by hand."""

from __future__ import annotations

from tulle.compile.lines import ANY_PROTOCOL, LAST_PORT, Line, PortName, Span, Term
from tulle.compile.rules import Action, Layer7, Tier
from tulle.model.kubernetes import ObjectRef
from tulle.model.verdict import Rule

EVERYTHING: tuple[Span, ...] = ((ANY_PROTOCOL, 0, LAST_PORT),)


def line(
    action: Action,
    spans: tuple[Span, ...] = EVERYTHING,
    tier: Tier = Tier.NAMESPACE,
    terms: tuple[Term, ...] | None = None,
    names: tuple[PortName, ...] = (),
    reject: bool = False,
    audit: bool = False,
    name: str = "p",
    layer7: Layer7 | None = None,
) -> Line:
    rule = Rule("ingress", ObjectRef("NetworkPolicy", "shop", name), 0)
    return Line(rule, action, tier, terms, spans, names, reject, audit, layer7)

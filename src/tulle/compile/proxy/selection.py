"""Which connection goes into which filter chain, in Envoy's two ways to say it.

A gateway's chains each have a match of their own. In the mesh one matcher names chains: clients of
a namespace may have servers of their own, so that it has to be asked first who connects, and a new
workload there changes the matcher and no chain, which would reset connections.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tulle import xds
from tulle.model.world import IPAddress

from .fields import Fields, extension
from .hosts import ANY, rank

_INPUTS = "envoy.extensions.matching.common_inputs.network.v3"
_RANGES = "envoy.extensions.matching.input_matchers.ip.v3.Ip"
_EVERYWHERE = {4: "0.0.0.0", 6: "::"}  # noqa: S104 (prefixes of all)


@dataclass(frozen=True, slots=True)
class Selector:
    """Connections from `clients` to addresses of `family` that ask for one of `names` by SNI.

    No clients are everybody, family 0 is any, no names are any, or none at all.
    """

    clients: tuple[IPAddress, ...] = ()
    family: int = 0
    names: tuple[str, ...] = ()


def match_of(selector: Selector) -> Fields:
    """A FilterChainMatch, of connections from everybody to any family."""
    return {"server_names": [name for name in selector.names if name != ANY]}


def matcher_of(chains: Sequence[tuple[Selector, str]]) -> Fields:
    """A Matcher that leads to chains by their names. Those with clients stand first."""
    matchers, last = [], {}
    for clients, family, name, chain in sorted(_single(chains), key=_order):
        predicates = list(_predicates(clients, family, name))
        if predicates:
            matchers.append({"predicate": _all_of(predicates), "on_match": _take(chain)})
        else:
            last = {"on_no_match": _take(chain)}
    return {**({"matcher_list": {"matchers": matchers}} if matchers else {}), **last}


_Single = tuple[tuple[IPAddress, ...], int, str, str]  # clients, family, name, chain


def _single(chains: Sequence[tuple[Selector, str]]) -> Iterator[_Single]:
    for selector, chain in chains:
        for name in selector.names or (ANY,):
            yield selector.clients, selector.family, name, chain


def _order(item: _Single) -> tuple[bool, tuple[int, int]]:
    clients, _, name, _ = item
    kind, length = rank(name)
    return not clients, (-kind, -length)


def _predicates(clients: Sequence[IPAddress], family: int, name: str) -> Iterator[Fields]:
    if clients:
        ranges = [_range(str(item), item.max_prefixlen) for item in clients]
        yield _within("SourceIPInput", ranges)
    if family:
        yield _within("DestinationIPInput", [_range(_EVERYWHERE[family], 0)])
    if name != ANY:
        text = {"suffix": name[1:]} if name.startswith("*.") else {"exact": name}
        yield _single_predicate("ServerNameInput", {"value_match": text})


def _range(prefix: str, length: int) -> Fields:
    return {"address_prefix": prefix, "prefix_len": {"value": length}}


def _within(input_name: str, ranges: Sequence[Fields]) -> Fields:
    ip = xds.any_of(_RANGES, cidr_ranges=ranges, stat_prefix="ip")
    matcher = extension("envoy.matching.matchers.ip", ip)
    return _single_predicate(input_name, {"custom_match": matcher})


def _single_predicate(input_name: str, match: Fields) -> Fields:
    given = extension(input_name, xds.any_of(f"{_INPUTS}.{input_name}"))
    return {"single_predicate": {"input": given, **match}}


def _all_of(predicates: Sequence[Fields]) -> Fields:
    if len(predicates) == 1:
        return predicates[0]
    return {"and_matcher": {"predicate": predicates}}


def _take(chain: str) -> Fields:
    name = xds.any_of("google.protobuf.StringValue", value=chain)
    return {"action": extension("chain", name)}

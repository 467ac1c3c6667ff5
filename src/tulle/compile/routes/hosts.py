"""The routes of one listener, merged: for every hostname all entries that may be meant, in order.

An entry of a route for `*.example` counts for `www.example` too, after those that name it itself:
precedence goes first by the hostname as the route has it, then by the match.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from tulle.model.routing import RequestMatch, Rule, Stream, VirtualHost

from .forms import Entry, Form, Mergeable
from .hostnames import intersection, lineage, specificity
from .listeners import Seat

ANY = "*"
_ALL = RequestMatch()
Sources = tuple[tuple[str, tuple[Mergeable, ...]], ...]  # routes by their hostname, in order
Known = dict[tuple[object, ...], tuple[Sources, VirtualHost]]


class Hosts:
    """Makes virtual hosts, and knows those that it made last time."""

    def __init__(self, before: Hosts | None = None) -> None:
        self._before: Known = before._made if before else {}
        self._made: Known = {}

    def forget_older(self) -> None:
        """When all that there is has been made."""
        self._before = {}

    def of(
        self,
        place: tuple[object, ...],
        hostname: str,
        seats: Iterable[tuple[Mergeable, tuple[str, ...]]],
        change: Callable[[Rule], Rule] | None = None,
    ) -> tuple[VirtualHost, ...]:
        """Of the listener at `place`. `change` is what its rules become there; nobody can tell two
        of those apart, so what they made is not kept."""
        by_name: dict[str, list[Mergeable]] = defaultdict(list)
        for form, names in seats:
            for name in names:
                by_name[name].append(form)
        for forms in by_name.values():
            forms.sort(key=lambda form: form.age)
        wanted = {intersection(hostname, name) for name in by_name}
        found = sorted((name for name in wanted if name is not None), key=specificity)
        return tuple(self._host((*place, name), name, by_name, change) for name in found)

    def _host(
        self,
        place: tuple[object, ...],
        name: str,
        by_name: Mapping[str, Sequence[Mergeable]],
        change: Callable[[Rule], Rule] | None,
    ) -> VirtualHost:
        sources = tuple((of, tuple(by_name[of])) for of in lineage(name) if of in by_name)
        if change is not None:
            changed = [entry._replace(rule=change(entry.rule)) for entry in _merged(sources)]
            return _of_entries(name, changed)
        known = self._before.get(place)
        if known is None or not _same(known[0], sources):
            known = (sources, _of_entries(name, _merged(sources)))
        self._made[place] = known
        return known[1]


def _of_entries(name: str, entries: Iterable[Entry]) -> VirtualHost:
    return VirtualHost(name or ANY, tuple((item.match, item.rule) for item in entries))


def _same(one: Sources, other: Sources) -> bool:
    """Whether they are the very same routes."""
    return len(one) == len(other) and all(
        a[0] == b[0]
        and len(a[1]) == len(b[1])
        and all(form is twin for form, twin in zip(a[1], b[1], strict=True))
        for a, b in zip(one, other, strict=True)
    )


def _merged(sources: Sources) -> list[Entry]:
    """Each entry once: a route may have two hostnames that mean the same host.

    What comes after a match of all requests is never reached, so it is left out: one route for any
    host does not fill the tables of all others.
    """
    found: dict[tuple[int, int], Entry] = {}
    for _, forms in sources:
        entries = [entry for form in forms for entry in form.entries]
        for entry in sorted(entries, key=lambda entry: entry.order):
            found.setdefault((id(entry.match), id(entry.rule)), entry)
            if entry.match == _ALL:
                return list(found.values())
    return list(found.values())


def streams_of(hostname: str, seats: Iterable[Seat], sealed: bool = False) -> tuple[Stream, ...]:
    """Each name leads to one route: that which says it most exactly, then the oldest.

    `sealed`: TLS passes through.
    """
    winners: dict[str, Form] = {}
    claims = [
        (specificity(name), seat.form.age, name, seat.form)
        for seat in seats
        for name in seat.hostnames
    ]
    for _, _, name, form in sorted(claims, key=lambda claim: claim[:3]):
        shared = intersection(hostname, name)
        if shared is not None:
            winners.setdefault(shared, form)
    names: dict[int, list[str]] = defaultdict(list)
    forms: dict[int, Form] = {}
    for name in sorted(winners, key=specificity):
        form = winners[name]
        names[id(form)].append(name)
        forms[id(form)] = form
    streams = {key: form.sealed if sealed else form.stream for key, form in forms.items()}
    return tuple(
        replace(stream, hostnames=tuple(name for name in names[key] if name))
        for key, stream in streams.items()
        if stream is not None
    )

"""Which workloads each Service's selector finds, kept up with changes and never searched anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, compress
from operator import is_, is_not

from tulle.model.kubernetes import Service
from tulle.model.world import Key, Workload, World

Group = Mapping[Key, Workload]
Found = Mapping[Key, Workload]
_NOBODY: Found = {}


@dataclass(frozen=True, slots=True)
class Members:
    """`groups` are the workloads of each node, "" is this one."""

    groups: Mapping[str, Group] = field(default_factory=dict)
    services: Mapping[Key, Service] = field(default_factory=dict)
    index: _Index = field(default_factory=lambda: _Index())
    found: Mapping[Key, Found] = field(default_factory=dict)

    def of(self, service: Key) -> Found:
        return self.found.get(service, _NOBODY)


def members_of(world: World, before: Members) -> tuple[Members, set[Key]]:
    """The members now, and the services of which some have changed."""
    groups = {"": world.workloads, **world.remote}
    found = dict(before.found)
    index, fresh, dropped = _indexed(world.services, before)
    for key in dropped:
        del found[key]
    touched = dropped | set(fresh.selectors)
    gone, come = _changes(before.groups, groups)
    touched |= {key for workload in (*gone, *come) for key in index.matching(workload)}
    mutable = {key: dict(found.get(key, _NOBODY)) for key in touched if key in index.selectors}
    for workload in gone:
        for key in index.matching(workload):
            if mutable[key].get(workload.key) is workload:
                del mutable[key][workload.key]
    for workload in come:
        for key in index.matching(workload):
            mutable[key][workload.key] = workload
    if fresh.selectors:
        for workload in chain.from_iterable(group.values() for group in groups.values()):
            for key in fresh.matching(workload):
                mutable[key][workload.key] = workload
    return Members(groups, world.services, index, found | mutable), touched


def changed(old: Mapping[Key, object], new: Mapping[Key, object]) -> Iterator[Key]:
    """Keys whose value is not the same object."""
    if old is new:
        return
    if len(old) == len(new) and all(map(is_, old, new)):  # a copy in which some were replaced
        yield from compress(new, map(is_not, old.values(), new.values()))
        return
    yield from [key for key, value in new.items() if old.get(key) is not value]
    yield from [key for key in old if key not in new]


def _changes(
    old: Mapping[str, Group], new: Mapping[str, Group]
) -> tuple[list[Workload], list[Workload]]:
    """Workloads as they were and as they are, of those that are other objects now."""
    gone, come = [], []
    for node in old.keys() | new.keys():
        before, after = old.get(node, {}), new.get(node, {})
        for key in changed(before, after):
            gone += [before[key]] if key in before else []
            come += [after[key]] if key in after else []
    return gone, come


def _indexed(services: Mapping[Key, Service], before: Members) -> tuple[_Index, _Index, set[Key]]:
    """The index of all selectors, of those that are new, and which services lost theirs."""
    added, dropped = {}, set()
    for key in changed(before.services, services):
        selector = services[key].spec.selector if key in services else {}
        if selector == before.index.selectors.get(key, {}):
            continue
        if key in before.index.selectors:
            dropped.add(key)
        if selector:
            added[key] = selector
    fresh = _Index()
    fresh.add(added)
    if not added and not dropped:
        return before.index, fresh, dropped
    kept = {key: item for key, item in before.index.selectors.items() if key not in dropped}
    index = _Index()
    index.add(kept | added)
    return index, fresh, dropped


class _Index:
    """Selectors by namespace and by the one of their labels that the fewest others share."""

    def __init__(self) -> None:
        self.selectors: dict[Key, Mapping[str, str]] = {}
        self._by_label: dict[str, dict[str, dict[str, list[Key]]]] = {}

    def add(self, selectors: Mapping[Key, Mapping[str, str]]) -> None:
        """Once, with all of them."""
        counts: dict[tuple[str, str, str], int] = {}
        for (namespace, _), selector in selectors.items():
            for label in selector.items():
                counts[namespace, *label] = counts.get((namespace, *label), 0) + 1
        self.selectors |= selectors
        for key, selector in selectors.items():
            name, value = min(selector.items(), key=lambda item: counts[key[0], *item])
            by_name = self._by_label.setdefault(key[0], {})
            by_name.setdefault(name, {}).setdefault(value, []).append(key)

    def matching(self, workload: Workload) -> set[Key]:
        """Services whose selector holds for the workload's labels."""
        labels = workload.labels
        return {
            key
            for name, by_value in self._by_label.get(workload.namespace, {}).items()
            for key in by_value.get(labels.get(name, ""), ())
            if self.selectors[key].items() <= labels.items()
        }

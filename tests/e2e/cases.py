"""Cases of policy as they are written down in truth/*.yaml.

A world has policies, by `KIND NAMESPACE/NAME`, and cases, one a line:

    SIGN SOURCE > TARGET PORT[/udp] [v6]

`+` connects, `-` gets no answer, `!` is told at once that it may not, `~` connects, and a policy in
audit mode would have denied it. PORT is a number, `ping` or `timestamp`. Sources and targets are
the workloads, services and places of town.py. `audit` and `reject` after a policy's name are its
annotations; a list instead of a spec is `specs`. In a policy `$NAME` stands for an address of that
end, `$NAME6` for its IPv6 one, `$pods` and `$services` for their ranges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import yaml

Json = dict[str, Any]
API_VERSIONS = {
    "NetworkPolicy": "networking.k8s.io/v1",
    "CiliumNetworkPolicy": "cilium.io/v2",
    "CiliumClusterwideNetworkPolicy": "cilium.io/v2",
    "CiliumCIDRGroup": "cilium.io/v2",
    "ClusterNetworkPolicy": "policy.networking.k8s.io/v1alpha2",
}
ICMP_TYPES = {"ping": {4: 8, 6: 128}, "timestamp": {4: 13}}


@dataclass(frozen=True)
class Case:
    sign: str
    source: str
    target: str
    protocol: str  # TCP, UDP, ICMP or ICMPv6
    port: int  # of ICMP the type
    version: int
    text: str

    @property
    def allowed(self) -> bool:
        return self.sign in "+~"

    @property
    def wanted(self) -> str:
        """What a client must see."""
        return {"+": "answered", "~": "answered", "-": "silent", "!": "refused"}[self.sign]

    @classmethod
    def of(cls, text: str) -> Case:
        sign, source, _, target, port, *family = text.split()
        version = 6 if family == ["v6"] else 4
        if port in ICMP_TYPES:
            protocol, number = "ICMP" if version == 4 else "ICMPv6", ICMP_TYPES[port][version]
        else:
            written, _, name = port.partition("/")
            protocol, number = name.upper() or "TCP", int(written)
        assert sign in "+-!~" and family in ([], ["v6"]), text
        return cls(sign, source, target, protocol, number, version, text)


@dataclass(frozen=True)
class World:
    name: str
    policies: Mapping[str, Any]
    cases: tuple[Case, ...]

    def objects(self, names: Mapping[str, str]) -> list[Json]:
        """The policies as a user would apply them; `names` are those that `$…` may stand for."""
        text = Template(yaml.safe_dump(dict(self.policies))).substitute(names)
        return [_object(title, spec) for title, spec in yaml.safe_load(text).items()]


def worlds(table: Path) -> Iterator[World]:
    for name, world in yaml.safe_load(table.read_text()).items():
        cases = tuple(Case.of(line) for line in world["cases"].splitlines())
        assert len(set(cases)) == len(cases), f"{name}: one case is there twice"
        yield World(name, world.get("policies", {}), cases)


def _object(title: str, spec: Any) -> Json:
    kind, path, *words = title.split()
    namespace, _, name = path.rpartition("/")
    meta: Json = {"name": name, "annotations": {f"tulle.io/{word}": "true" for word in words}}
    if namespace:
        meta["namespace"] = namespace
    field = "specs" if isinstance(spec, list) else "spec"
    return {"apiVersion": API_VERSIONS[kind], "kind": kind, "metadata": meta, field: spec}

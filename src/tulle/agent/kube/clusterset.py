"""Which Services the clusters of a set export, and what one of them has of that. Pure.

Exports of one name are one Service to whoever imports it. Where they differ in what cannot be
merged, the oldest is right (KEP-1645).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import msgspec

from tulle.compile.services import addresses_of
from tulle.edges.manifests.directory import Snapshot
from tulle.model.kubernetes import (
    AFFINITY_ANNOTATION,
    HEADLESS,
    SERVICE_NAME_LABEL,
    EndpointSlice,
    Namespace,
    ObjectMeta,
    ObjectRef,
    Service,
    ServicePort,
    ServiceSpec,
)
from tulle.model.multicluster import (
    SERVICE_IMPORT,
    Export,
    ImportedPort,
    ServiceExport,
    ServiceImport,
    ServiceImportSpec,
    import_of,
    import_type,
    imported,
)
from tulle.model.world import IPAddress, IPNetwork, Key, Refusal

from .backing import MANAGED_BY as SLICE_MANAGED_BY
from .backing import MANAGER
from .foreign import is_global

Json = dict[str, Any]

MANAGED_BY = "app.kubernetes.io/managed-by"
_ALL_ALIKE = "none"
_FOREIGN = (
    f"another controller made it: without the label {MANAGED_BY}: {MANAGER} it stays as it is"
)


def exported(snapshot: Snapshot) -> set[Key]:
    """The Services that a cluster exports."""
    return snapshot.of(ServiceExport).keys() & snapshot.of(Service).keys()


def exports_of(said: Mapping[str, Snapshot]) -> dict[Key, tuple[Export, ...]]:
    """By the name of the Service, the oldest first; `said` is by cluster."""
    found: dict[Key, list[Export]] = {}
    for cluster, snapshot in said.items():
        services, exports = snapshot.of(Service), snapshot.of(ServiceExport)
        for key in exported(snapshot):
            created = str(exports[key].metadata.creation_timestamp or "")
            found.setdefault(key, []).append(Export(created, cluster, services[key]))
    return {key: tuple(sorted(of, key=lambda item: item[:2])) for key, of in found.items()}


@dataclass(frozen=True, slots=True)
class Merged:
    """`conflicts`: reason → message, of what the later exports have and nobody gets."""

    ports: tuple[ServicePort, ...]
    conflicts: Mapping[str, str]


def merged(exports: Sequence[Export]) -> Merged:
    """All ports, but not two of one name or of one number."""
    first, conflicts = exports[0], dict[str, str]()
    ports: dict[str, ServicePort] = {}
    numbers: dict[tuple[int, str], str] = {}
    for item in exports:
        for port in item.service.spec.ports:
            port = ServicePort(port.port, port.name, port.protocol, app_protocol=port.app_protocol)
            holder = ports.get(numbers.get((port.port, port.protocol), port.name))
            holder = ports.get(port.name, holder)
            if holder is None:
                ports[port.name] = port
                numbers[port.port, port.protocol] = port.name
            elif holder != port:
                text = (
                    f"cluster {item.cluster} has {_shown(port)}, an older export {_shown(holder)}"
                )
                conflicts.setdefault("PortConflict", text)
        for reason, field, has, had in _differences(item.service.spec, first.service.spec):
            text = f"{field} is {has} in cluster {item.cluster}, {had} in {first.cluster}"
            conflicts.setdefault(reason, f"{text}, which exported it first")
    return Merged(tuple(ports.values()), conflicts)


def _shown(port: ServicePort) -> str:
    name = f"{port.name} " if port.name else ""
    as_what = f" ({port.app_protocol})" if port.app_protocol else ""
    return f"port {name}{port.port}/{port.protocol}{as_what}"


def _differences(spec: ServiceSpec, first: ServiceSpec) -> Iterator[tuple[str, str, str, str]]:
    """Reason, field, and what stands in it."""
    of = (
        ("TypeConflict", "type", import_type),
        ("SessionAffinityConflict", "sessionAffinity", _session_affinity),
        ("SessionAffinityConfigConflict", "timeoutSeconds of sessionAffinityConfig", _timeout),
        ("IPFamilyConflict", "ipFamilies", _families),
    )
    for reason, field, read in of:
        if read(spec) != read(first):
            yield reason, field, read(spec), read(first)


def _session_affinity(spec: ServiceSpec) -> str:
    return spec.session_affinity


def _timeout(spec: ServiceSpec) -> str:
    return str(spec.session_affinity_config.client_ip.timeout_seconds)


def _families(spec: ServiceSpec) -> str:
    return ",".join(sorted(spec.ip_families))


class Imports:
    """Services that stand for ServiceImports, and their slices: what stays is the same object."""

    def __init__(self, ranges: Collection[IPNetwork]) -> None:
        """In `ranges` are the addresses that Tulle gives."""
        self._ranges = ranges
        self._services: dict[Key, Service] = {}
        self._slices: dict[Key, tuple[EndpointSlice, EndpointSlice]] = {}

    def services(
        self, ours: Snapshot, exports: Mapping[Key, tuple[Export, ...]]
    ) -> dict[Key, Service]:
        """In all namespaces that there are here. An import that another one made is his, and one
        that was never read may be."""
        imports, own = ours.of(ServiceImport), ours.of(Service)
        known, self._services = self._services, {}
        namespaces, kept = ours.named(Namespace), _kept(imports, self._ranges, known)
        never = unread(ours) - imports.keys()
        for key, of in exports.items():
            is_free = key not in never and (key not in imports or is_ours(imports[key]))
            if is_free and key[0] in namespaces:
                made = _stand_in(key, of, own.get(key), kept.get(key, ()))
                name = key[0], made.metadata.name
                before = known.get(name)
                self._services[name] = before if before == made and before else made
        return self._services

    def slices(self, found: Iterable[tuple[Key, EndpointSlice]]) -> dict[Key, EndpointSlice]:
        """The slices of exported Services, as slices of what stands for the imports."""
        known, self._slices = self._slices, {}
        for key, item in found:
            before = known.get(key)
            same = before is not None and before[0] is item
            self._slices[key] = before if before and same else (item, _slice(item))
        return {(key[0], imported(key[1])): made for key, (_, made) in self._slices.items()}


def is_ours(item: ServiceImport) -> bool:
    return item.metadata.labels.get(MANAGED_BY) == MANAGER


def unread(ours: Snapshot) -> set[Key]:
    """Imports of which nobody knows what they say now."""
    refs = (item.ref for item in ours.refusals)
    return {(ref.namespace, ref.name) for ref in refs if ref.kind == SERVICE_IMPORT}


def foreign_imports(ours: Snapshot, exports: Collection[Key]) -> Iterator[Refusal]:
    for key, item in sorted(ours.of(ServiceImport).items()):
        if key in exports and not is_ours(item):
            yield Refusal(ObjectRef(SERVICE_IMPORT, *key), _FOREIGN)


def _kept(
    imports: Mapping[Key, ServiceImport],
    ranges: Collection[IPNetwork],
    known: Mapping[Key, Service],
) -> dict[Key, tuple[IPAddress, ...]]:
    """What the API says that each has, so that it keeps it: nothing but what Tulle gives.

    Who may write an import may write another's address there: of several that say one it stays
    with whom it was, of `known`, and if that is not known nobody keeps it.
    """
    said = {key: _given(item, ranges) for key, item in imports.items() if is_ours(item)}
    claims = Counter(address for of in said.values() for address in of)
    held = {
        (address, (key[0], import_of(key[1])))
        for key, service in known.items()
        for address in addresses_of(service)
    }
    others = {address for address, key in held if address in said.get(key, ())}
    return {
        key: tuple(a for a in of if (a, key) in held or (a not in others and claims[a] == 1))
        for key, of in said.items()
    }


def _given(item: ServiceImport, ranges: Collection[IPNetwork]) -> Collection[IPAddress]:
    """Of each family the first."""
    found: dict[int, IPAddress] = {}
    for text in item.spec.ips:
        address = _address(text)
        if address and any(address in network for network in ranges):
            found.setdefault(address.version, address)
    return found.values()


def _address(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _stand_in(
    key: Key, exports: Sequence[Export], own: Service | None, kept: Sequence[IPAddress]
) -> Service:
    """Its slices say who backs it; by the selector workloads in them are known."""
    spec = exports[0].service.spec
    headless = spec.cluster_ip == HEADLESS
    families = spec.ip_families
    ips = [str(item) for item in kept if not families or f"IPv{item.version}" in families]
    annotations = {AFFINITY_ANNOTATION: _affinity(own)}
    return Service(
        ObjectMeta(imported(key[1]), key[0], annotations=annotations),
        ServiceSpec(
            ports=merged(exports).ports,
            selector=spec.selector,
            cluster_ip=HEADLESS if headless else (ips[0] if ips else ""),
            cluster_ips=() if headless else tuple(ips),
            ip_families=families,
            session_affinity=spec.session_affinity,
            session_affinity_config=spec.session_affinity_config,
        ),
    )


def _affinity(own: Service | None) -> str:
    """Backends of all clusters alike, unless this one's Service wants its own first."""
    if own is None:
        return _ALL_ALIKE
    default = "local" if is_global(own) else _ALL_ALIKE
    return own.metadata.annotations.get(AFFINITY_ANNOTATION, default)


def _slice(item: EndpointSlice) -> EndpointSlice:
    """It is nobody's to write in the API, whoever made the one that it comes from."""
    metadata = item.metadata
    of = imported(metadata.labels[SERVICE_NAME_LABEL])
    labels = {key: text for key, text in metadata.labels.items() if key != SLICE_MANAGED_BY}
    labels[SERVICE_NAME_LABEL] = of
    metadata = msgspec.structs.replace(metadata, name=imported(metadata.name), labels=labels)
    return msgspec.structs.replace(item, metadata=metadata)


def of_services(
    slices: Mapping[Key, EndpointSlice], services: Collection[Key]
) -> Iterator[tuple[Key, EndpointSlice]]:
    for key, item in slices.items() if services else ():
        if (key[0], item.metadata.labels.get(SERVICE_NAME_LABEL, "")) in services:
            yield key, item


def imports_of(given: Mapping[Key, Service]) -> dict[Key, ServiceImport]:
    """What the API is to have, of the Services that stand for it, with their addresses."""
    found = {}
    for (namespace, of), service in given.items():
        if name := import_of(of):
            meta = ObjectMeta(name, namespace, {MANAGED_BY: MANAGER})
            found[namespace, name] = ServiceImport(meta, _spec(service.spec))
    return found


def _spec(spec: ServiceSpec) -> ServiceImportSpec:
    return ServiceImportSpec(
        tuple(ImportedPort(p.port, p.name, p.protocol, p.app_protocol) for p in spec.ports),
        spec.cluster_ips,
        import_type(spec),
        spec.session_affinity,
        spec.session_affinity_config,
    )


def body_of(item: ServiceImport, version: str) -> Json:
    """As that version of the API has it."""
    spec = item.spec
    ports = [{"protocol": p.protocol, **msgspec.to_builtins(p)} for p in spec.ports]
    made: Json = {"type": spec.type, "ports": ports, "sessionAffinity": spec.session_affinity}
    if spec.ips:
        made["ips"] = list(spec.ips)
    if spec.session_affinity == "ClientIP":
        timeout = spec.session_affinity_config.client_ip.timeout_seconds
        made["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": timeout}}
    return {
        "apiVersion": version,
        "kind": item.kind,
        "metadata": msgspec.to_builtins(item.metadata),
        "spec": made,
    }

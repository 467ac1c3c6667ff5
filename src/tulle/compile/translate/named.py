"""What policies name and do not hold: services and groups of CIDRs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network

from tulle.model.cilium import CIDRRule, CiliumCIDRGroup, CiliumService
from tulle.model.kubernetes import SERVICE_NAME_LABEL, EndpointSlice, LabelSelector, Service
from tulle.model.multicluster import import_of
from tulle.model.world import Key, World

from ..rules import Cidr, PeerTerm, Pods
from ..selectors import matches
from .labels import both, in_namespace, of_pods, plain


@dataclass(slots=True)
class Named:
    """Look-ups of one policy in one world.

    `used` are the parts of the world that the answers depend on, `missing` says what was asked for
    in vain: it selects nobody. `refused` says what of the policy cannot be honoured.
    """

    world: World
    used: list[object] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def group_cidrs(self, rule: CIDRRule) -> tuple[str, ...]:
        """All CIDRs of the groups that a rule names or selects."""
        groups: Mapping[str, CiliumCIDRGroup] = self.world.cidr_groups
        self.used.append(groups)
        if rule.cidr_group_selector is not None:
            chosen = plain(rule.cidr_group_selector)
            found = [
                group
                for _, group in sorted(groups.items())
                if chosen is not None and matches(chosen, group.metadata.labels)
            ]
            if not found:
                self._miss("cidrGroupSelector matches no CiliumCIDRGroup")
        else:
            found = [groups[rule.cidr_group_ref]] if rule.cidr_group_ref in groups else []
            if not found:
                self._miss(f"there is no CiliumCIDRGroup {rule.cidr_group_ref}")
        return tuple(dict.fromkeys(cidr for group in found for cidr in group.spec.external_cidrs))

    def service_endpoints(self, wanted: CiliumService) -> Iterator[PeerTerm]:
        """Workloads that services select, and what stands in the slices of those that do not."""
        self.used.append(self.world.services)
        found = [item for item in self.world.services.values() if _is_wanted(wanted, item)]
        if not found:
            self._miss(f"there is no Service {_shown(wanted)}")
        for service in sorted(found, key=_key):
            namespace = service.metadata.namespace
            if service.spec.selector:
                chosen = of_pods(LabelSelector(service.spec.selector))
                yield Pods(both(chosen, in_namespace(namespace)))
            else:
                yield from self._listed(service)

    def _miss(self, what: str) -> None:
        self.missing.append(f"{what}: nobody is meant by it, the rest of the policy is in force")

    def _listed(self, service: Service) -> Iterator[PeerTerm]:
        self.used.append(self.world.slices)
        own = _key(service)
        addresses = {
            ip_network(address)
            for item in self.world.slices.values()
            if (item.metadata.namespace, item.metadata.labels.get(SERVICE_NAME_LABEL)) == own
            for endpoint in item.endpoints
            for address in endpoint.addresses
        }
        yield from (Cidr(address) for address in sorted(addresses, key=str))


def _key(item: Service | EndpointSlice) -> Key:
    return item.metadata.namespace, item.metadata.name


def _is_wanted(wanted: CiliumService, service: Service) -> bool:
    """Both parts must hold; a namespace that is not given is any. What stands for an import is none
    of this cluster's Services."""
    metadata = service.metadata
    if import_of(metadata.name):
        return False
    if (name := wanted.k8s_service) is not None and (
        name.service_name != metadata.name or name.namespace not in ("", metadata.namespace)
    ):
        return False
    if (by_labels := wanted.k8s_service_selector) is not None:
        chosen = plain(by_labels.selector)
        if chosen is None or by_labels.namespace not in ("", metadata.namespace):
            return False
        return matches(chosen, metadata.labels)
    return True


def _shown(wanted: CiliumService) -> str:
    if (name := wanted.k8s_service) is not None:
        return f"{name.namespace}/{name.service_name}" if name.namespace else name.service_name
    return "that k8sServiceSelector matches"

"""Objects as an API server keeps them: versions, a log of changes, lists in pages, writes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any

from tulle.edges.kubernetes.discovery import Resource

Json = dict[str, Any]
Key = tuple[str, str]

_NETWORKING, _GATEWAY = "networking.k8s.io", "gateway.networking.k8s.io"
SERVED: tuple[Resource, ...] = (
    Resource("", "v1", "namespaces", "Namespace", False, True),
    Resource("", "v1", "nodes", "Node", False, True),
    Resource("", "v1", "pods", "Pod", True, True),
    Resource("", "v1", "services", "Service", True, True),
    Resource("", "v1", "secrets", "Secret", True),
    Resource("", "v1", "configmaps", "ConfigMap", True),
    Resource("", "v1", "events", "Event", True),
    Resource("events.k8s.io", "v1", "events", "Event", True),
    Resource("coordination.k8s.io", "v1", "leases", "Lease", True),
    Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True),
    Resource(_NETWORKING, "v1", "networkpolicies", "NetworkPolicy", True),
    Resource(_NETWORKING, "v1", "ingresses", "Ingress", True, True),
    Resource(_NETWORKING, "v1", "ingressclasses", "IngressClass", False),
    Resource(_GATEWAY, "v1", "gatewayclasses", "GatewayClass", False, True),
    Resource(_GATEWAY, "v1", "gateways", "Gateway", True, True),
    Resource(_GATEWAY, "v1", "httproutes", "HTTPRoute", True, True),
)


class Refusal(Exception):
    def __init__(self, status: int, reason: str, message: str = "") -> None:
        self.status, self.reason, self.message = status, reason, message
        super().__init__(message)


class Registry:
    """Whoever watches overrides `told`."""

    def __init__(self, served: Iterable[Resource]) -> None:
        self.served = list(served)
        self.version = 100
        self._objects: dict[tuple[str, str], dict[Key, Json]] = {}
        self._log: list[tuple[int, str, Resource, Json, Json | None]] = []
        self._compacted = 0

    def told(self, kind: str, resource: Resource, obj: Json, before: Json | None) -> None:
        """An event, as it happens."""

    def put(self, obj: Json) -> Json:
        """Create or replace, whatever version `obj` bears; gives the object as it is then."""
        resource = self.resource_of(obj)
        meta = obj["metadata"]
        key = (meta.get("namespace", "") if resource.namespaced else "", meta["name"])
        before = self._of(resource).get(key)
        self.version += 1
        made = copy.deepcopy(obj)
        made["metadata"] |= {
            "resourceVersion": str(self.version),
            "uid": before["metadata"]["uid"] if before else f"uid-{self.version}",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        self._of(resource)[key] = made
        self._tell("MODIFIED" if before else "ADDED", resource, made, before)
        return made

    def remove(self, kind: str, name: str, namespace: str = "") -> None:
        resource = next(each for each in self.served if each.kind == kind)
        gone = self._of(resource).pop((namespace, name))
        self.version += 1
        gone = copy.deepcopy(gone)
        gone["metadata"]["resourceVersion"] = str(self.version)
        self._tell("DELETED", resource, gone, gone)

    def objects(self, kind: str) -> dict[Key, Json]:
        resource = next(each for each in self.served if each.kind == kind)
        return self._of(resource)

    def get(self, kind: str, name: str, namespace: str = "") -> Json:
        return self.objects(kind)[namespace, name]

    def compact(self) -> None:
        """Forget the past: a watch from it, or a list continued in it, is answered with 410."""
        self._compacted = self.version
        self._log.clear()

    def resource_of(self, obj: Json) -> Resource:
        for resource in self.served:
            if (resource.group_version, resource.kind) == (obj["apiVersion"], obj["kind"]):
                return resource
        raise Refusal(404, "NotFound", f"no kind {obj['kind']}")

    def list_of(self, resource: Resource, namespace: str, query: Mapping[str, str]) -> Json:
        found = sorted(self.selected(resource, namespace, query), key=_key)
        meta: Json = {"resourceVersion": str(self.version)}
        if rest := query.get("continue"):
            # a real list goes on in its own past; here only a test that looks would know
            at, start, _ = rest.split("|")
            if int(at) < self._compacted:
                raise Refusal(410, "Expired", "the continue token is too old")
            found = [obj for obj in found if "/".join(_key(obj)) > start]
            meta["resourceVersion"] = at
        limit = int(query.get("limit", 0))
        if limit and len(found) > limit:
            found = found[:limit]
            meta["continue"] = f"{meta['resourceVersion']}|{'/'.join(_key(found[-1]))}|"
        items = [
            {name: value for name, value in obj.items() if name not in ("kind", "apiVersion")}
            for obj in found
        ]
        kind = {"kind": f"{resource.kind}List", "apiVersion": resource.group_version}
        return {**kind, "metadata": meta, "items": items}

    def selected(
        self, resource: Resource, namespace: str, query: Mapping[str, str]
    ) -> Iterable[Json]:
        for (at, _), obj in list(self._of(resource).items()):
            if namespace in ("", at) and matches(obj, query):
                yield obj

    def _tell(self, kind: str, resource: Resource, obj: Json, before: Json | None) -> None:
        self._log.append((self.version, kind, resource, obj, before))
        self.told(kind, resource, obj, before)

    def change(
        self,
        method: str,
        is_apply: bool,
        resource: Resource,
        key: Key,
        sub: str,
        query: Mapping[str, str],
        body: bytes,
    ) -> Json:
        wanted: Json = json.loads(body) if body else {}
        if method == "POST":
            key = (key[0], wanted["metadata"]["name"])
        have = self._of(resource).get(key)
        if method == "POST":
            if have:
                raise Refusal(409, "AlreadyExists", f'"{key[1]}" already exists')
            return self._write(resource, key, wanted)
        if have is None and not (is_apply and not sub):
            raise Refusal(404, "NotFound", f'{resource.plural} "{key[1]}" not found')
        if method == "GET":
            return have or {}
        if method == "DELETE":
            self.remove(resource.kind, key[1], key[0])
            return {"kind": "Status", "status": "Success"}
        _check_version(have, wanted)
        if is_apply:
            self._check_manager(have, sub, query)
        if method == "PATCH":
            wanted = merged(have or {}, wanted)
        return self._write(resource, key, _only(have, wanted, sub))

    def _check_manager(self, have: Json | None, sub: str, query: Mapping[str, str]) -> None:
        """One manager an object and subresource: enough to tell who must use force."""
        if not query.get("fieldManager"):
            raise Refusal(422, "Invalid", "fieldManager is required for apply patch")
        fields = (have or {}).get("metadata", {}).get("managedFields", [])
        others = [
            each["manager"]
            for each in fields
            if each["manager"] != query["fieldManager"] and each.get("subresource", "") == sub
        ]
        if others and query.get("force") != "true":
            raise Refusal(409, "Conflict", f'conflict with "{others[0]}"')

    def _write(self, resource: Resource, key: Key, obj: Json) -> Json:
        meta = obj.setdefault("metadata", {})
        meta["name"] = key[1]
        if resource.namespaced:
            meta["namespace"] = key[0]
        obj |= {"kind": resource.kind, "apiVersion": resource.group_version}
        have = self._of(resource).get(key)
        if have and _bare(have) == _bare(obj):
            return have  # a write that changes nothing is no event
        return self.put(obj)

    def _of(self, resource: Resource) -> dict[Key, Json]:
        return self._objects.setdefault((resource.group_version, resource.plural), {})


def matches(obj: Json, query: Mapping[str, str]) -> bool:
    """Equality, existence and their opposites, as labelSelector and fieldSelector write them."""
    labels = obj["metadata"].get("labels") or {}
    for term in filter(None, query.get("labelSelector", "").split(",")):
        name, is_equal, value = term.partition("=")
        value = value.removeprefix("=")
        if name.endswith("!"):
            if labels.get(name[:-1]) == value:
                return False
        elif is_equal:
            if labels.get(name) != value:
                return False
        elif (name.lstrip("!") in labels) == name.startswith("!"):
            return False
    for term in filter(None, query.get("fieldSelector", "").split(",")):
        name, _, value = term.partition("=")
        found: Any = obj
        for part in name.rstrip("!").split("."):
            found = (found or {}).get(part)
        if ((found or "") == value.removeprefix("=")) == name.endswith("!"):
            return False
    return True


def merged(have: Any, patch: Any) -> Any:
    """RFC 7386; server-side apply is that here, so lists are always replaced."""
    if not isinstance(patch, dict):
        return patch
    result = dict(have) if isinstance(have, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def _only(have: Json | None, wanted: Json, sub: str) -> Json:
    """A write to /status changes only that, and no other write does."""
    result = copy.deepcopy(wanted)
    if have is None:
        return result
    if sub == "status":
        result = copy.deepcopy(have)
        result["status"] = wanted.get("status")
    elif "status" in have:
        result["status"] = have["status"]
    return result


def _check_version(have: Json | None, wanted: Json) -> None:
    version = wanted.get("metadata", {}).get("resourceVersion")
    if version and have and version != have["metadata"]["resourceVersion"]:
        raise Refusal(409, "Conflict", "the object has been modified")


def _bare(obj: Json) -> Json:
    meta = dict(obj["metadata"])
    for name in ("resourceVersion", "uid", "creationTimestamp"):
        meta.pop(name, None)
    return {**obj, "metadata": meta}


def _key(obj: Json) -> Key:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]

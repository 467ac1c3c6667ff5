"""This node's own Pods: what there is to know of a sandbox beside its network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Set
from dataclasses import replace

from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.discovery import Resource
from tulle.edges.kubernetes.errors import NotFound
from tulle.edges.manifests.fields import FieldError
from tulle.errors import Refused, Unavailable
from tulle.model.world import Key

from ..attachments import PodFacts
from .cut import PodCut, pod_of
from .facts import bandwidth_of_pod, ports_of, weight_of_pod

WAIT_S = 10.0
_AGAIN_S = 0.1


class OwnPods:
    """Only for one event loop, but for `all`."""

    def __init__(
        self, client: Client, pods: Resource, has_namespace: Callable[[str], bool]
    ) -> None:
        """`has_namespace` tells whether the labels of a namespace are known."""
        self._client, self._pods, self._has_namespace = client, pods, has_namespace
        self._facts: Mapping[Key, PodFacts] = {}

    def all(self) -> Mapping[Key, PodFacts]:
        """The same object as long as nothing changes."""
        return self._facts

    @property
    def problems(self) -> list[str]:
        """What is not in force of them, and why."""
        found = [
            f"Pod {'/'.join(key)}: {facts.problem}; what it said before holds"
            for key, facts in sorted(self._facts.items())
            if facts.problem
        ]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return [found[0] + more] if found else []

    def keep(self, keys: Set[Key]) -> bool:
        """There are no others; whether anything is different now."""
        gone = [self.drop(key) for key in self._facts.keys() - keys]
        return any(gone)

    def put(self, key: Key, raw: bytes) -> bool:
        """What cannot be read stays as it was."""
        try:
            facts = facts_of(pod_of(raw))
        except FieldError:
            return False
        if self._facts.get(key) == facts:
            return False
        self._facts = {**self._facts, key: facts}
        return True

    def drop(self, key: Key) -> bool:
        if key not in self._facts:
            return False
        self._facts = {name: facts for name, facts in self._facts.items() if name != key}
        return True

    async def find(self, key: Key, uid: str) -> PodFacts:
        """Of a Pod that is being started: a runtime may be quicker than the watch.

        Raises Refused if there is no such Pod, Unavailable if nobody knows yet.
        """
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while True:
            found = self._facts.get(key)
            if found is None or found.problem or (uid and found.uid != uid):
                found = await self._ask(key, uid)
            if self._has_namespace(key[0]):
                return found
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"Namespace {key[0]}: the API server has not told of it yet")
            await asyncio.sleep(_AGAIN_S)

    async def _ask(self, key: Key, uid: str) -> PodFacts:
        name = f"Pod {key[0]}/{key[1]}"
        try:
            raw = await self._client.get(self._pods.path(*key))
            found = facts_of(pod_of(raw))
        except NotFound as error:
            raise Refused(f"{name}: the API server has no such Pod") from error
        except FieldError as error:
            raise Refused(f"{name}: {error}") from error
        if uid and found.uid != uid:
            raise Refused(f"{name}: the API server has another of that name: uid {found.uid}")
        if found.problem:
            raise Refused(f"{name}: {found.problem}")
        self.put(key, raw)
        return found


def facts_of(pod: PodCut) -> PodFacts:
    """A bad annotation keeps nobody from learning of new labels: policies go by these."""
    meta = pod.metadata
    # a kubelet knows its static Pods by this, which nobody can add to another
    uid = (meta.annotations and meta.annotations.static) or meta.uid
    account = pod.spec.service_account_name or "default"
    facts = PodFacts(meta.labels or {}, account, ports_of(pod), uid=uid)
    try:
        return replace(facts, weight=weight_of_pod(pod), bandwidth=bandwidth_of_pod(pod))
    except FieldError as error:
        return replace(facts, problem=str(error))

"""What the CNI plugin asks the agent for: one route a verb, answered in CNI's own words.

ADD is answered when the policy for the pod is in force: its first process starts after that.
"""

from __future__ import annotations

import asyncio
import logging
from ipaddress import ip_interface
from typing import Any

import msgspec
from aiohttp import web

from tulle.edges.manifests.validate import validate
from tulle.errors import Refused, TulleError, Unavailable
from tulle.model.kubernetes import Container, ObjectMeta, ObjectRef, Pod, PodSpec
from tulle.model.world import IPAddress

from .agent import Agent, Pass
from .attachments import PodFacts, SandboxRecord, Wanted
from .cni import (
    BAD_CONFIGURATION,
    LATEST,
    NOT_AS_ADDED,
    NOT_AVAILABLE,
    CniCall,
    CniError,
    failure,
    parse,
    result,
)
from .queue import Queue

log = logging.getLogger("tulle")

Json = dict[str, Any]
GATHER_S = 0.05


class CniApi:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._queue = Queue()
        self._pass_due: asyncio.TimerHandle | None = None
        self._verbs = {
            "ADD": self._add,
            "DEL": self._delete,
            "CHECK": self._check,
            "GC": self._collect,
            "STATUS": self._status,
        }

    async def handle(self, request: web.Request) -> web.Response:
        version, body = LATEST, await request.read()
        try:
            call = parse(request.match_info["verb"], body)
            version = call.version
            answer = await self._verbs[call.verb](call)
        except Exception as error:
            if not isinstance(error, TulleError | OSError):
                log.exception("CNI %s", request.match_info["verb"])
            told = msgspec.json.encode(failure(error, version))
            return web.Response(body=told + b"\n", status=400, content_type="application/json")
        told = msgspec.json.encode(answer) + b"\n" if answer else b""
        return web.Response(body=told, content_type="application/json")

    async def _add(self, call: CniCall) -> Json:
        agent, wanted = self._agent, call.attachment
        self._check_name(call)
        _check_chain(call, chained=agent.options.settings.chained)
        facts = await self._facts(call)
        sandboxes, about = agent.sandboxes, wanted.id
        to_make = Wanted(wanted, facts, call.wishes)
        record = await self._queue.ask(sandboxes.add, about, to_make)
        try:
            if call.previous:  # a first pod may have brought a bridge with addresses of the node's
                await asyncio.to_thread(agent.network.refresh)
            now = await agent.converge()
            here = now.world.workloads.get(record.key)
            if here is None or here.ifindex != record.ifindex:
                _check_admitted(now, record)
                raise Refused(f"pod {'/'.join(record.key)}: the name came up elsewhere just now")
            if any(port.host_port for port in here.ports):
                _check_admitted(now, record)
        except BaseException:
            # Without its policy in force it must not exist.
            await self._queue.ask(sandboxes.delete, about, about)
            raise
        return call.previous or result(call, record.interface, record.ips, record.mtu)

    async def _delete(self, call: CniCall) -> None:
        about = call.attachment.id
        if await self._queue.ask(self._agent.sandboxes.delete, about, about):
            self._request_soon()

    async def _check(self, call: CniCall) -> None:
        record = await asyncio.to_thread(self._agent.sandboxes.check, call.attachment)
        _check_told(call, record)
        now = await self._agent.converge()
        if record.ifindex not in {item.ifindex for item in now.world.workloads.values()}:
            raise CniError(NOT_AS_ADDED, f"pod {'/'.join(record.key)} is not in the mesh")

    async def _collect(self, call: CniCall) -> None:
        network = call.attachment.network
        ended = await asyncio.to_thread(self._agent.sandboxes.collect, network, call.valid)
        for line in ended:
            log.info("removed %s", line)
        if ended:
            self._request_soon()

    async def _status(self, call: CniCall) -> None:
        agent = self._agent
        if agent.current is None or agent.problem:
            raise CniError(NOT_AVAILABLE, agent.problem or "the agent is starting")

    def _request_soon(self) -> None:
        """What is gone need not be out of the maps at once, and seldom one goes alone."""
        if self._pass_due is None:
            loop = asyncio.get_running_loop()
            self._pass_due = loop.call_later(GATHER_S, self._request)

    def _request(self) -> None:
        self._pass_due = None
        self._agent.request()

    def _check_name(self, call: CniCall) -> None:
        """Raises Refused, Unavailable if that is not known yet."""
        now, key = self._agent.current, call.attachment.key
        if now is None:
            raise Unavailable(self._agent.problem or "the agent has not finished its first pass")
        if key in self._agent.workloads.all() or now.snapshot.get(ObjectRef("Pod", *key)):
            raise Refused(f"the name {'/'.join(key)} belongs to a workload of Tulle's own")

    async def _facts(self, call: CniCall) -> PodFacts:
        wanted, find = call.attachment, self._agent.facts
        if find is not None:
            return await find(wanted.key, wanted.uid)
        pod = Pod(
            ObjectMeta(wanted.key[1], wanted.key[0], call.labels),
            PodSpec((Container("c", command=("true",)),)),
        )
        try:
            validate(pod)
        except Refused as error:
            raise CniError(BAD_CONFIGURATION, f"args.cni.labels: {error}") from error
        return PodFacts(labels=call.labels, uid=wanted.uid)


def _check_chain(call: CniCall, *, chained: bool) -> None:
    """Raises CniError if the node's agent was started for another place in the chain."""
    if chained == (call.previous is not None):
        return
    reason = "prevResult: none is given, and this node's agent runs with --cni-chained"
    if not chained:
        reason = "prevResult: on this node Tulle gives addresses itself: see --cni-chained"
    raise CniError(BAD_CONFIGURATION, reason)


def _check_admitted(now: Pass, record: SandboxRecord) -> None:
    """Raises Refused if it is not there as it wants to be: a port of the node, say."""
    ref = ObjectRef("Pod", *record.key)
    for refusal in now.refusals:
        if refusal.ref == ref:
            raise Refused(f"pod {'/'.join(record.key)}: {refusal.reason}")


def _check_told(call: CniCall, record: SandboxRecord) -> None:
    """Raises CniError if what the runtime keeps of ADD is not what is there."""
    told = call.previous.get("ips") if call.previous else None
    found = set(map(_address_of, told if isinstance(told, list) else ()))
    if missing := [str(address) for address in record.ips if address not in found]:
        raise CniError(NOT_AS_ADDED, f"prevResult.ips: {', '.join(missing)} not in it")


def _address_of(item: Any) -> IPAddress | None:
    try:
        return ip_interface(item["address"]).ip
    except (KeyError, TypeError, ValueError):
        return None

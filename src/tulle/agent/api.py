"""The agent's HTTP API on its unix socket: what the CLI speaks. JSON in, JSON out."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from tulle.compile.explain.requests import Request
from tulle.compile.parts import flat
from tulle.edges import enter
from tulle.edges.manifests.aging import aged
from tulle.edges.manifests.parse import Parsed, parse
from tulle.edges.manifests.validate import validate
from tulle.errors import Refused, TulleError, Unavailable, UsageError
from tulle.model.dns import name_problem
from tulle.model.kinds import KubernetesObject, ref_of
from tulle.model.kubernetes import (
    Container,
    ContainerPort,
    Labels,
    ObjectMeta,
    ObjectRef,
    Pod,
    PodSpec,
    Protocol,
)
from tulle.model.world import Key

from . import routed, views
from .agent import Agent, Pass
from .asking import explain_asked
from .cni_api import CniApi
from .naming import Naming
from .streaming import stream_flows

log = logging.getLogger("tulle")

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
AGENT = web.AppKey("agent", Agent)
NAMING = web.AppKey("naming", Naming)
STOP = web.AppKey("stop", asyncio.Event)
BODY_LIMIT = 1 << 24


class NewPort(msgspec.Struct, forbid_unknown_fields=True):
    port: int
    name: str = ""
    protocol: Protocol = "TCP"


class NewWorkload(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    namespace: str = "default"
    labels: Labels = {}
    ports: list[NewPort] = []
    weight: int = 1


class AskedRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Names and values of headers; without `host` it is the name that was asked for."""

    method: str = "GET"
    path: str = "/"
    host: str = ""
    headers: list[tuple[str, str]] = []
    tls: bool = False


class Question(
    msgspec.Struct, forbid_unknown_fields=True, rename={"source": "from", "target": "to"}
):
    source: str
    target: str
    port: int = 0
    protocol: str = "TCP"
    http: AskedRequest | None = None
    dns: str = ""  # a name that is asked for


def make_app(agent: Agent, naming: Naming, stop: asyncio.Event) -> web.Application:
    """`stop` is set when somebody asked for the node to be taken down."""
    app = web.Application(middlewares=[_errors_as_json], client_max_size=BODY_LIMIT)
    app[AGENT], app[NAMING], app[STOP] = agent, naming, stop
    app.add_routes(
        [
            web.get("/v1/status", _status),
            web.get("/v1/health", _health),
            web.get("/v1/objects/{kind}", _objects),
            web.get("/v1/image", _image),
            web.post("/v1/apply", _apply),
            web.post("/v1/delete", _delete),
            web.post("/v1/warnings", _warnings),
            web.get("/v1/flows", _flows),
            web.post("/v1/explain", _explain),
            web.post("/v1/workloads", _create_workload),
            web.get("/v1/workloads/{namespace}/{name}", _get_workload),
            web.delete("/v1/workloads/{namespace}/{name}", _delete_workload),
            web.post("/v1/cni/{verb}", CniApi(agent).handle),
            web.post("/v1/shutdown", _shutdown),
        ]
    )
    return app


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except UsageError as error:
        return web.json_response({"error": str(error), "usage": True}, status=400)
    except (Refused, msgspec.ValidationError, msgspec.DecodeError) as error:
        return web.json_response({"error": str(error)}, status=400)
    except Unavailable as error:
        return web.json_response({"error": str(error)}, status=503)
    except (TulleError, OSError) as error:
        return web.json_response({"error": str(error)}, status=500)
    except web.HTTPException:
        raise
    except Exception as error:
        log.exception("%s %s", request.method, request.path)
        return web.json_response({"error": f"internal error: {error!r}"}, status=500)


async def _health(request: web.Request) -> web.Response:
    """For probes: costs next to nothing."""
    agent = request.app[AGENT]
    return web.json_response({"ready": agent.current is not None, "problem": agent.problem})


def _now(request: web.Request) -> Pass:
    now = request.app[AGENT].current
    if now is None:
        raise Unavailable(request.app[AGENT].problem or "the agent has not finished its first pass")
    return now


async def _status(request: web.Request) -> web.Response:
    return web.json_response(await asyncio.to_thread(views.status, request.app[AGENT]))


async def _objects(request: web.Request) -> web.Response:
    view = views.KINDS.get(request.match_info["kind"])
    if view is None:
        raise Refused(f"no such kind; there are {', '.join(views.KINDS)}")
    agent, now = request.app[AGENT], _now(request)
    # beside the loop: 10,000 services take half a second
    body = await asyncio.to_thread(lambda: msgspec.json.encode({"items": view(agent, now)}))
    return web.Response(body=body, content_type="application/json")


async def _image(request: web.Request) -> web.Response:
    """What every derived map should hold, in hex: to compare with what bpftool shows."""
    image = flat(_now(request).compiled.image)
    as_hex = {
        name: {key.hex(): value.hex() for key, value in entries.items()}
        for name, entries in image.items()
    }
    return web.json_response(as_hex)


async def _parsed(request: web.Request) -> Parsed:
    body = await request.read()
    return await asyncio.to_thread(parse, body, request.query.get("file", "-"))


async def _apply(request: web.Request) -> web.Response:
    agent, parsed = request.app[AGENT], await _parsed(request)
    began = asyncio.get_running_loop().time()
    before = agent.current
    answer = await asyncio.to_thread(_put_all, agent, parsed)
    if answer["results"]:
        now = await agent.converge()
        answer["errors"] += _refused(parsed, now)
        answer["errors"] += _displaced(parsed, before, now)
    answer["enforced_ms"] = (asyncio.get_running_loop().time() - began) * 1000
    return web.json_response(answer, status=422 if answer["errors"] else 200)


async def _warnings(request: web.Request) -> web.Response:
    """Of objects, by their names as `apply` answers with them."""
    names = msgspec.json.decode(await request.read(), type=list[str])
    refs = [ref for name in names if (ref := routed.ref_named(name)) is not None]
    return web.json_response({"warnings": routed.warnings(_now(request), refs)})


def _refused(parsed: Parsed, now: Pass) -> list[str]:
    """Objects that are well-formed, but clash with what else there is or hold a bad rule."""
    reasons: dict[ObjectRef, list[str]] = {}
    for item in now.refusals:
        reasons.setdefault(item.ref, []).append(item.reason)
    return [
        f"{placed.file}:{placed.line}: {ref_of(placed.obj)}: {reason}"
        for placed in parsed.objects
        for reason in reasons.get(ref_of(placed.obj), ())
    ]


def _displaced(parsed: Parsed, before: Pass | None, now: Pass) -> list[str]:
    """Other objects that lost to these what both want: nobody would look for that in `status`."""
    known = {ref_of(placed.obj) for placed in parsed.objects}
    known |= {item.ref for item in before.refusals} if before else set()
    return [f"{item.ref}: {item.reason}" for item in now.refusals if item.ref not in known]


def _put_all(agent: Agent, parsed: Parsed) -> Json:
    known = agent.manifests.scan()

    def put(obj: KubernetesObject) -> str:
        before = known.get(ref_of(obj))
        stamped = aged(obj, before, datetime.now(UTC))
        if before in (obj, stamped):
            return "unchanged"
        agent.manifests.put(stamped)
        return "configured" if before else "created"

    return _each(parsed, put)


def _each(parsed: Parsed, work: Callable[[KubernetesObject], str]) -> Json:
    """Every object is tried: one that is refused does not take the others down."""
    results: list[Json] = []
    errors = [str(bad.error) for bad in parsed.errors]
    for placed in parsed.objects:
        ref = ref_of(placed.obj)
        try:
            results.append({"object": str(ref), "result": work(placed.obj)})
        except TulleError as error:
            errors.append(f"{placed.file}:{placed.line}: {ref}: {error}")
    return {"results": results, "errors": errors}


async def _delete(request: web.Request) -> web.Response:
    agent, parsed = request.app[AGENT], await _parsed(request)

    def remove(obj: KubernetesObject) -> str:
        return "deleted" if agent.manifests.remove(ref_of(obj)) else "not found"

    answer = await asyncio.to_thread(_each, parsed, remove)
    await agent.converge()
    await agent.pods.settled()
    return web.json_response(answer, status=422 if answer["errors"] else 200)


async def _flows(request: web.Request) -> web.StreamResponse:
    return await stream_flows(request, request.app[AGENT].flows, request.app[NAMING])


async def _explain(request: web.Request) -> web.Response:
    asked = msgspec.json.decode(await request.read(), type=Question)
    now, http = _now(request), None
    if asked.http:
        host = asked.http.host or asked.target.rpartition("/")[2]
        headers = tuple(asked.http.headers)
        http = Request(asked.http.method, asked.http.path, host, headers, asked.http.tls)
    if asked.dns:
        if problem := name_problem(asked.dns):
            raise Refused(f"{asked.dns}: {problem}")
        http = Request(question=asked.dns)
    learnt = request.app[AGENT].hearing
    ends = asked.source, asked.target, asked.protocol, asked.port
    return web.json_response(await asyncio.to_thread(explain_asked, now, learnt, *ends, http))


async def _create_workload(request: web.Request) -> web.Response:
    agent = request.app[AGENT]
    asked = msgspec.json.decode(await request.read(), type=NewWorkload)
    ports = tuple(ContainerPort(item.port, item.name, item.protocol) for item in asked.ports)
    _check(asked, ports)
    if _now(request).snapshot.get(ObjectRef("Pod", asked.namespace, asked.name)):
        raise Refused(f"the name {asked.namespace}/{asked.name} belongs to a Pod")
    key = (asked.namespace, asked.name)
    if key in agent.sandboxes.all():
        raise Refused(f"the name {asked.namespace}/{asked.name} belongs to a pod of this node")
    _check_elsewhere(_now(request), key)
    workload = await asyncio.to_thread(
        agent.workloads.create, asked.namespace, asked.name, asked.labels, ports, asked.weight
    )
    try:
        if key not in (await agent.converge()).world.workloads:
            raise Refused(f"workload {asked.namespace}/{asked.name} came up elsewhere just now")
    except BaseException:
        # Without its policy in force it must not exist.
        await asyncio.to_thread(agent.workloads.delete, workload.key)
        raise
    return web.json_response(_entrance(agent, workload.key), status=201)


def _check(asked: NewWorkload, ports: tuple[ContainerPort, ...]) -> None:
    """The rules of a Pod's name, labels and ports. Raises Refused."""
    meta = ObjectMeta(asked.name, asked.namespace, asked.labels)
    container = Container("c", command=("true",), ports=ports)
    validate(Pod(meta, PodSpec((container,))))
    if any(not 1 <= port.container_port <= 65535 for port in ports):
        raise Refused("ports: must be from 1 to 65535")
    if not 0 <= asked.weight <= 65535:
        raise Refused("weight: must be from 0 to 65535")


async def _get_workload(request: web.Request) -> web.Response:
    return web.json_response(_entrance(request.app[AGENT], _key_here(request)))


async def _delete_workload(request: web.Request) -> web.Response:
    key = _key_here(request)
    if _now(request).snapshot.get(ObjectRef("Pod", *key)):
        raise Refused(f"{key[0]}/{key[1]} belongs to a Pod manifest: delete that, with -f")
    await request.app[AGENT].delete_workload(key)
    return web.json_response({})


def _key_here(request: web.Request) -> Key:
    """Raises Refused if another node or a container runtime has it and we have not."""
    key = request.match_info["namespace"], request.match_info["name"]
    agent = request.app[AGENT]
    if key in agent.workloads.all():
        return key
    if key in agent.sandboxes.all():
        raise Refused(f"workload {key[0]}/{key[1]} is a container runtime's: it can be had there")
    if agent.current is not None:
        _check_elsewhere(agent.current, key)
    return key


def _check_elsewhere(now: Pass, key: Key) -> None:
    for node, workloads in now.world.remote.items():
        if key in workloads:
            raise Refused(f"workload {key[0]}/{key[1]} runs on node {node}")


def _entrance(agent: Agent, key: Key) -> Json:
    """Where a command of this workload runs, and the argument vector that brings it there."""
    place = agent.workloads.place(key)
    workload = agent.workloads.all()[key]
    line = enter.argv(
        (),
        netns=str(place.netns),
        cgroup=str(place.cgroup),
        hosts=str(place.hosts),
        hostname=key[1],
    )
    return {
        "netns": str(place.netns),
        "cgroup": str(place.cgroup),
        "hosts": str(place.hosts),
        "addresses": [str(item) for item in workload.addresses],
        "enter": [sys.executable, *line[1:-1]],
    }


async def _shutdown(request: web.Request) -> web.Response:
    try:
        stopped = await request.app[AGENT].dismantle()
    finally:
        request.app[STOP].set()  # half taken down, it must not go on as if it were whole
    return web.json_response({"stopped": [f"{namespace}/{name}" for namespace, name in stopped]})

"""Flows as newline-delimited JSON: what is kept, then, for a follower, what comes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec
from aiohttp import web

from tulle.abi import Event
from tulle.observe.filters import Query, parse
from tulle.observe.flows import FlowDict, flow_of

from .flowlog import FlowLog
from .naming import Naming

CHUNK_LINES = 256


async def stream_flows(request: web.Request, log: FlowLog, naming: Naming) -> web.StreamResponse:
    """Raises UsageError for filters that make no sense."""
    query = parse(request.query.items(), time.time_ns())
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    seen = log.end
    lines = [msgspec.json.encode(flow) + b"\n" for flow in kept_flows(log.kept(), query, naming)]
    for start in range(0, len(lines), CHUNK_LINES):
        await response.write(b"".join(lines[start : start + CHUNK_LINES]))
    if query.follow:
        async for raw in log.follow(seen):
            flow = flow_of(Event.unpack(raw), naming.names())
            if query.matches(flow):
                await response.write(msgspec.json.encode(flow) + b"\n")
    await response.write_eof()
    return response


def kept_flows(raw: list[bytes], query: Query, naming: Naming) -> list[FlowDict]:
    """The matching flows in order of time; of `last`, the newest are decoded first."""
    if query.last is not None:
        newest = _matching(reversed(raw), query, naming)
        return list(islice(newest, query.last))[::-1]
    return list(islice(_matching(raw, query, naming), query.first))


def _matching(raw: Iterable[bytes], query: Query, naming: Naming) -> Iterator[FlowDict]:
    names = naming.names()
    decoded = (flow_of(Event.unpack(item), names) for item in raw)
    return (flow for flow in decoded if query.matches(flow))

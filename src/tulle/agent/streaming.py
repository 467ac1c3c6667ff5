"""Flows as newline-delimited JSON: what is kept, then, for a follower, what comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter

import msgspec
from aiohttp import web

from tulle.abi import Event
from tulle.observe.filters import Query, parse
from tulle.observe.flows import FlowDict, flow_of
from tulle.observe.names import Names
from tulle.observe.questions import Asked
from tulle.observe.requests import request_flow

from .flowlog import FlowLog, Record
from .naming import Naming

CHUNK_LINES = 256


async def stream_flows(request: web.Request, log: FlowLog, naming: Naming) -> web.StreamResponse:
    """Raises UsageError for filters that make no sense, Unavailable for too many readers."""
    query = parse(request.query.items(), time.time_ns())
    with log.reader(query.follow):
        return await _stream(request, query, log, naming)


async def _stream(
    request: web.Request, query: Query, log: FlowLog, naming: Naming
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    seen = log.end
    kept = await asyncio.to_thread(kept_flows, log.kept(), query, naming)
    lines = [msgspec.json.encode(flow) + b"\n" for flow in kept]
    for start in range(0, len(lines), CHUNK_LINES):
        await response.write(b"".join(lines[start : start + CHUNK_LINES]))
    if query.follow:
        async for raw in log.follow(seen):
            # Nothing else tells that the reader has gone, as long as nothing is written.
            if request.transport is None or request.transport.is_closing():
                break
            if raw is None:
                continue
            flow = _decoded(raw, naming.names())
            if query.matches(flow):
                await response.write(msgspec.json.encode(flow) + b"\n")
    await response.write_eof()
    return response


def kept_flows(raw: list[Record], query: Query, naming: Naming) -> list[FlowDict]:
    """The matching flows in order of time; of `last`, the newest are decoded first."""
    if query.last is not None:
        found = islice(_matching(reversed(raw), query, naming), query.last)
    else:
        found = islice(_matching(raw, query, naming), query.first)
    return sorted(
        found, key=itemgetter("time")
    )  # the proxy tells of requests later than the kernel


def _matching(raw: Iterable[Record], query: Query, naming: Naming) -> Iterator[FlowDict]:
    names = naming.names()
    decoded = (_decoded(item, names) for item in raw)
    return (flow for flow in decoded if query.matches(flow))


def _decoded(record: Record, names: Names) -> FlowDict:
    if isinstance(record, bytes):
        return flow_of(Event.unpack(record), names)
    if isinstance(record, Asked):
        return record.flow(names)
    return request_flow(record.access(), names)

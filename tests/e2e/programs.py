"""Real programs and their clients, run in workloads by test_programs.py.

`serve NAME DIRECTORY` becomes the server; `ask NAME HOST` prints, as one line of JSON, what its
client makes of it. That is the same wherever it is asked from. `refuse NAME HOST` prints what is
told of requests that a rule denies.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.e2e import asking, web
from tests.e2e.running import become, digest, run

PORTS = {"nginx": 80, "websocket": 82, "grpc": 83, "redis": 6379, "postgres": 5432, **web.PORTS}
LARGE = 3_000_000
GRPC_MORE = 9  # calls, and one that is large
_NGINX = """
daemon off; worker_processes 1; pid {place}/pid; error_log stderr;
events {{}}
http {{
    access_log off; sendfile on;
    client_body_temp_path {place}; proxy_temp_path {place}; fastcgi_temp_path {place};
    uwsgi_temp_path {place}; scgi_temp_path {place};
    server {{
        listen {port}; root {place}/files; client_max_body_size 0;
        location /up {{ proxy_pass http://127.0.0.1:8099; proxy_http_version 1.1; }}
    }}
    server {{
        listen 127.0.0.1:8099;
        location / {{ client_max_body_size 0; return 200 "$request_length\\n"; }}
    }}
}}
"""


def nginx(place: Path) -> None:
    files = place / "files"
    files.mkdir()
    (files / "small").write_text("small\n")
    (files / "large").write_bytes(b"0123456789" * (LARGE // 10))
    (place / "nginx.conf").write_text(_NGINX.format(place=place, port=PORTS["nginx"]))
    become("nginx", "-e", "stderr", "-c", str(place / "nginx.conf"))


def ask_nginx(host: str) -> Any:
    """By curl: kept connections, a range, HEAD, an upload; and by wrk."""
    url, shown = f"http://{host}:{PORTS['nginx']}", ["-s", "-m", "20", "-w", "\n%{http_code}"]
    lines = [
        ["curl", *shown, f"{url}/small", "--next", *shown, f"{url}/nowhere"],
        ["curl", *shown, f"{url}/large"],
        ["curl", *shown, "-r", "100-2000000", f"{url}/large"],
        ["curl", *shown, "-I", f"{url}/large"],
        ["curl", *shown, "-X", "POST", "-T", "-", f"{url}/up"],
    ]
    said = [run(line, b"x" * LARGE) for line in lines]
    load = run(["wrk", "-t1", "-c4", "-d1", f"{url}/small"]).decode()
    requests = re.search(r"(\d+) requests in", load)
    failed = re.findall(r"Socket errors.*|Non-2xx.*", load)
    dates = (re.sub(rb"(Date|Last-Modified|ETag): [^\r]*", b"", text) for text in said)
    return [*map(digest, dates), bool(requests and int(requests[1]) > 50), failed]


def websocket(_: Path) -> None:
    from aiohttp import WSMsgType
    from aiohttp import web as serving

    async def echo(request: serving.Request) -> serving.WebSocketResponse:
        answer = serving.WebSocketResponse()
        await answer.prepare(request)
        async for message in answer:
            if message.type is WSMsgType.BINARY:
                await answer.send_bytes(message.data[::-1])
        return answer

    app = serving.Application()
    app.router.add_get("/echo", echo)
    serving.run_app(app, port=PORTS["websocket"], print=None)


def ask_websocket(host: str) -> Any:
    from aiohttp import ClientSession

    async def ask() -> list[str]:
        url = f"http://{host}:{PORTS['websocket']}/echo"
        async with ClientSession() as session, session.ws_connect(url) as peer:
            said = []
            for size in (1, 100, 70_000, 1_000_000):
                await peer.send_bytes(bytes(number % 251 for number in range(size)))
                said.append(digest(await peer.receive_bytes(timeout=10)))
            return said

    return asyncio.run(ask())


def _codec() -> Any:
    from grpclib.encoding.base import CodecBase

    class Codec(CodecBase):
        __content_subtype__ = "bytes"

        def encode(self, message: Any, message_type: Any) -> bytes:
            return bytes(message)

        def decode(self, data: bytes, message_type: Any) -> bytes:
            return data

    return Codec()


def grpc(_: Path) -> None:
    from grpclib.const import Cardinality, Handler
    from grpclib.server import Server

    async def echo(stream: Any) -> None:
        async for message in stream:
            await stream.send_message(message[::-1])

    class Echo:
        def __mapping__(self) -> Any:
            return {"/test.Echo/Talk": Handler(echo, Cardinality.STREAM_STREAM, bytes, bytes)}

    async def serve() -> None:
        server = Server([Echo()], codec=_codec())
        await server.start("0.0.0.0", PORTS["grpc"])  # noqa: S104
        await server.wait_closed()

    asyncio.run(serve())


def ask_grpc(host: str) -> Any:
    from grpclib.client import Channel, StreamStreamMethod
    from grpclib.exceptions import GRPCError, StreamTerminatedError

    async def ask() -> Any:
        channel = Channel(host, PORTS["grpc"], codec=_codec())
        method: Any = StreamStreamMethod(channel, "/test.Echo/Talk", bytes, bytes)
        try:
            async with asyncio.timeout(10):
                sent = [b"ab" * size for size in (1, 20_000, 500_000)]
                said = [[digest(item) for item in await method(sent)]]
                said += [await method([b"%d" % number]) for number in range(GRPC_MORE)]
                return [[str(item) for item in items] for items in said]
        except (GRPCError, StreamTerminatedError, OSError) as error:
            return type(error).__name__
        finally:
            channel.close()

    return asyncio.run(ask())


def redis(place: Path) -> None:
    os.chdir(place)
    plain = ("--save", "", "--protected-mode", "no", "--bind", "*")
    become("redis-server", *plain, "--port", str(PORTS["redis"]))


def ask_redis(host: str) -> Any:
    """A pipeline of 20,000, a large value, and a subscriber."""
    command = ["redis-cli", "-h", host, "-p", str(PORTS["redis"])]
    run([*command, "flushall"])
    piped = b"".join(b"SET k%d v%d\r\n" % (number, number) for number in range(20_000))
    told = run([*command, "--pipe"], piped).decode()
    run([*command, "-x", "set", "large"], b"y" * LARGE)
    listener = subprocess.Popen([*command, "subscribe", "news"], stdout=subprocess.PIPE)
    assert listener.stdout
    heard = [listener.stdout.readline() for _ in range(3)]
    for number in range(3):
        run([*command, "publish", "news", str(number)])
    heard += [listener.stdout.readline() for _ in range(9)]
    listener.kill()
    listener.communicate()
    large, last = run([*command, "get", "large"]), run([*command, "get", "k19999"])
    replies = re.findall(r"errors: \d+, replies: \d+", told)
    return [replies, digest(large), last.decode(), b"".join(heard).decode()]


def postgres(place: Path) -> None:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    data = place / "data"
    data.mkdir(mode=0o700)
    shutil.chown(data, "postgres", "postgres")
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    made = [*user, str(programs / "initdb"), "-D", str(data), "--auth=trust", "--no-sync"]
    subprocess.run([*made, "--wal-segsize=1"], check=True, stdout=subprocess.DEVNULL, cwd="/")
    with (data / "pg_hba.conf").open("a") as access:
        access.write("host all all all trust\n")
    listens = ["-c", "listen_addresses=*", "-c", f"unix_socket_directories={data}"]
    os.chdir("/")
    become("unshare", "--ipc", *user, str(programs / "postgres"), "-D", str(data), *listens)


def ask_postgres(host: str) -> Any:
    """COPY each way, and a result of some megabytes."""
    line = ["psql", "-X", "-h", host, "-U", "postgres", "-At"]
    rows = b"".join(b"%d\tname %d\n" % (number, number) for number in range(30_000))
    run([*line, "-c", "drop table if exists t; create table t (id int, name text)"])
    copied = run([*line, "-c", "copy t from stdin"], rows)
    out = run([*line, "-c", "copy t to stdout"])
    large = run([*line, "-c", "select id, repeat(name, 10) from t order by id"])
    return [copied.decode(), out == rows, digest(large)]


SERVERS: dict[str, Callable[[Path], None]] = {
    "nginx": nginx,
    "recv": web.recv,
    "poll": web.poll,
    "python": web.python,
    "node": web.node,
    "websocket": websocket,
    "grpc": grpc,
    "redis": redis,
    "postgres": postgres,
}
CLIENTS: dict[str, Callable[[str], Any]] = {
    "nginx": ask_nginx,
    **{name: partial(asking.ask, name) for name in web.PORTS},
    "websocket": ask_websocket,
    "grpc": ask_grpc,
    "redis": ask_redis,
    "postgres": ask_postgres,
}


if __name__ == "__main__":
    _, verb, name, where = sys.argv
    if verb == "serve":
        SERVERS[name](Path(where))
    said = asking.refuse(name, where) if verb == "refuse" else CLIENTS[name](where)
    print(json.dumps(said))

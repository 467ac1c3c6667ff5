#!/usr/bin/env python3
"""Clients that run inside a workload. Standard library only.

load.py requests URL   GET it, over connections that are kept and over new ones
load.py knock HOST PORT   open a connection, close it, do it again
load.py talk HOST PORT   PING a redis over one connection

Each prints what it has seen so far as a line of JSON ten times a second, until its standard input
closes or there is nothing left to do.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from threading import Event, Lock, Thread
from urllib.parse import urlsplit

REPORT_PERIOD_S = 0.1
ANSWER_TIMEOUT_S = 5.0
KNOCK_TIMEOUT_S = 0.4
ORDER_EVERY = 20  # a visit is counted in redis, an order written to PostgreSQL


class Seen:
    """Counts, shared by the workers of one client."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock, self._error = Lock(), ""

    def add(self, *names: str, error: object = "") -> None:
        with self._lock:
            self._counts.update(names)
            self._error = str(error) or self._error

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def report(self) -> None:
        with self._lock:
            print(json.dumps({**self._counts, "error": self._error}), flush=True)


class Requests:
    """One worker that sends requests, `limit` in all workers together, one at a time."""

    def __init__(
        self, url: str, keep: bool, limit: int, pause_s: float, headers: dict[str, str]
    ) -> None:
        self._host, self._keep, self._headers = urlsplit(url).netloc, keep, headers
        self._limit, self._pause_s = limit, pause_s

    def __call__(self, seen: Seen, stop: Event) -> None:
        connection, number = HTTPConnection(self._host, timeout=ANSWER_TIMEOUT_S), 0
        while not stop.is_set() and (not self._limit or seen["sent"] < self._limit):
            number += 1
            seen.add("sent", "kept" if self._keep else "new")
            try:
                path = "/" if number % ORDER_EVERY else "/orders"
                connection.request("GET", path, headers=self._headers)
                answer = connection.getresponse()
                body = json.loads(answer.read())
                if answer.status == 200:
                    seen.add("answered", f"from {body['replica']}")
                else:
                    seen.add("failed", error=f"{answer.status}: {body}")
            except (OSError, HTTPException, ValueError) as error:
                seen.add("failed", error=repr(error))
                connection.close()
            if not self._keep:
                connection.close()
            stop.wait(self._pause_s)


def knock(host: str, port: int, seen: Seen, stop: Event) -> None:
    while not stop.is_set():
        seen.add("sent")
        try:
            socket.create_connection((host, port), KNOCK_TIMEOUT_S).close()
            seen.add("let in")
        except OSError as error:
            seen.add("denied", error=error)
        stop.wait(REPORT_PERIOD_S)


def talk(host: str, port: int, seen: Seen, stop: Event) -> None:
    """Until the first answer that does not come: over one connection the rest would not either."""
    with socket.create_connection((host, port), KNOCK_TIMEOUT_S) as connection:
        while not stop.is_set():
            seen.add("sent")
            try:
                connection.sendall(b"PING\r\n")
                connection.recv(16)
                seen.add("answered")
            except OSError as error:
                seen.add("silent", error=error)
                return
            stop.wait(0.01)


def run(workers: list[Callable[[Seen, Event], None]]) -> None:
    seen, stop = Seen(), Event()
    threads = [Thread(target=worker, args=(seen, stop), daemon=True) for worker in workers]
    Thread(target=_until_closed, args=(stop,), daemon=True).start()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(REPORT_PERIOD_S)
        seen.report()
    seen.report()


def _until_closed(stop: Event) -> None:
    sys.stdin.read()
    stop.set()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    requests = verbs.add_parser("requests")
    requests.add_argument("url")
    requests.add_argument("--kept", type=int, default=0, help="workers that keep a connection")
    requests.add_argument("--new", type=int, default=0, help="workers that make one a request")
    requests.add_argument("--limit", type=int, default=0, help="requests in all; 0: no end")
    requests.add_argument("--pause", type=float, default=0.0, help="seconds between two")
    requests.add_argument("--header", action="append", default=[], help="NAME: VALUE")
    for verb in ("knock", "talk"):
        other = verbs.add_parser(verb)
        other.add_argument("host")
        other.add_argument("port", type=int)
    args = parser.parse_args()
    if args.verb == "requests":
        keeps = [True] * args.kept + [False] * args.new
        headers = dict(item.split(": ", 1) for item in args.header)
        run([Requests(args.url, keep, args.limit, args.pause, headers) for keep in keeps])
    else:
        client = knock if args.verb == "knock" else talk
        run([lambda seen, stop: client(args.host, args.port, seen, stop)])


if __name__ == "__main__":
    main()

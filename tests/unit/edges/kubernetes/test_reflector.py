"""A sink holds what the server holds, whatever happens on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.edges.kubernetes import stories
from tests.unit.edges.kubernetes.server import FakeServer, status
from tests.unit.edges.kubernetes.stories import Mirror, config_map, until
from tulle.edges.kubernetes.backoff import Backoff
from tulle.edges.kubernetes.client import Client, Query
from tulle.edges.kubernetes.discovery import Resource
from tulle.edges.kubernetes.reflector import FUTILE, Reflector, Ways
from tulle.edges.kubernetes.wire import Key

MAPS = Resource("", "v1", "configmaps", "ConfigMap", True)
QUICK = Ways(page=2, spacing_s=0.0, short_s=0.05, rest_s=0.05)


def truth(server: FakeServer) -> dict[Key, str]:
    return {key: obj["data"]["value"] for key, obj in server.objects("ConfigMap").items()}


Story = Callable[[FakeServer, Mirror], Awaitable[None]]


def play(story: Story, ways: Ways = QUICK, minor: int = 20, query: Query | None = None) -> None:
    async def main(server: FakeServer, client: Client) -> None:
        mirror = Mirror()
        backoff = Backoff(first_s=0.01, max_s=0.05)
        reflector = Reflector(client, MAPS, query or {}, mirror, time.monotonic, backoff, ways=ways)
        running = asyncio.create_task(reflector.run())
        try:
            await story(server, mirror)
            assert not running.done(), running.exception()
        finally:
            running.cancel()

    stories.play(main, minor)


def watches(server: FakeServer) -> list[str]:
    """The versions that watches were asked from."""
    return [
        each.query.get("resourceVersion", "") for each in server.requests if "watch" in each.query
    ]


def test_lists_in_pages_then_watches() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        await until(lambda: mirror.phase == "synced")
        for number in range(5):
            server.put(config_map(f"m{number}", str(number)))
        await until(lambda: mirror.held == truth(server))
        server.remove("ConfigMap", "m3", "n")
        server.put(config_map("m4", "changed"))
        await until(lambda: mirror.held == truth(server))
        assert (mirror.lists, mirror.drops) == (1, 1)

    play(story)


def test_pages_are_told_as_they_come_and_what_a_list_lacks_at_its_end() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        await until(lambda: mirror.phase == "synced")
        for number in range(7):
            server.put(config_map(f"m{number}"))
        await until(lambda: len(mirror.held) == 7)
        before = mirror.puts
        server.compact()
        server.put(config_map("m7"))
        server.remove("ConfigMap", "m0", "n")
        server.compact()
        server.cut()
        await until(lambda: mirror.lists == 2)
        assert mirror.held == truth(server)
        assert (mirror.puts - before, mirror.drops) == (7, 0)
        assert sum("continue" in each.query for each in server.requests) == 3

    play(story)


def test_a_cut_goes_on_where_it_was() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        await until(lambda: server.watching)
        server.put(config_map("a", "1"))
        await until(lambda: mirror.held)
        seen = str(server.version)
        server.cut()
        server.put(config_map("b", "2"))
        server.remove("ConfigMap", "a", "n")
        await until(lambda: mirror.held == truth(server))
        assert mirror.lists == 1
        assert watches(server)[1] == seen
        assert {each.phase for each in mirror.conditions} == {"synced"}

    play(story)


def test_a_bookmark_moves_the_place_to_go_on_from() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        await until(lambda: server.watching)
        for number in range(5):  # of another kind
            server.put({**config_map(str(number)), "kind": "Secret"})
        server.bookmark()
        server.compact()
        server.end()
        await until(lambda: len(watches(server)) > 1)
        assert watches(server)[1] == str(server.version)
        server.put(config_map("a"))
        await until(lambda: mirror.held == truth(server))
        assert mirror.lists == 1

    play(story)


def test_what_was_deleted_in_a_forgotten_gap_is_gone() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        server.put(config_map("a"))
        server.put(config_map("b"))
        await until(lambda: len(mirror.held) == 2)
        await server.stop()
        server.remove("ConfigMap", "a", "n")
        server.compact()
        await until(lambda: mirror.phase == "behind")
        assert len(mirror.held) == 2, "what was said last is in force"
        await server.start()
        await until(lambda: mirror.held == truth(server))
        await until(lambda: mirror.phase == "synced")
        assert mirror.lists == 2

    play(story)


def test_410_in_the_middle_of_a_list() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        await until(lambda: mirror.lists == 1)
        for number in range(5):
            server.put(config_map(f"m{number}"))
        server.compact()
        server.fail(410, "Expired", times=1, watch=False)
        server.cut()
        await until(lambda: mirror.held == truth(server) and mirror.lists == 2)
        lists = [each for each in server.requests if "watch" not in each.query]
        assert "limit" not in lists[-1].query, "so slow a reader gets it in one piece"

    play(story)


def test_events_that_say_error_or_nothing() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        said = [
            {"type": "ERROR", "object": status(410, "Expired")},
            {"type": "ERROR", "object": status(500, "InternalError")},
            {"type": "WHATEVER", "object": config_map("a")},
            b'{"type": "ADDED", "object": {"metadata": {"na',
        ]
        for count, event in enumerate(said, 1):
            await until(lambda count=count: server.watched == count)
            server.put(config_map("a", str(count)))
            server.say(event)
            await until(lambda count=count: mirror.lists == count + 1)
            assert mirror.held == truth(server)

    play(story)


def test_forbidden_and_absent_take_nothing() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        server.put(config_map("a"))
        await until(lambda: mirror.held)
        for code, phase in [(403, "forbidden"), (404, "absent"), (401, "behind"), (503, "behind")]:
            server.fail(code, "Because", times=3)
            server.cut()
            await until(lambda phase=phase: mirror.phase == phase)
            assert mirror.held == truth(server)
            assert str(code) in mirror.conditions[-1].problem
            await until(lambda: mirror.phase == "synced")

    play(story)


def test_behind_since_when() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        await until(lambda: mirror.phase == "synced")
        server.fail(503, "One", times=1)
        server.fail(503, "Two", times=1)
        server.cut()
        await until(lambda: len(mirror.conditions) == 4)
        synced, one, two, again = mirror.conditions
        assert ("One" in one.problem, "Two" in two.problem) == (True, True)
        assert synced.since < one.since == two.since < again.since

    play(story)


def test_retry_after_is_kept() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        await until(lambda: server.watching)
        server.fail(429, "TooManyRequests", headers={"Retry-After": "1"}, watch=True)
        server.cut()
        await until(lambda: mirror.phase == "behind")
        at, asked = time.monotonic(), len(server.requests)
        await until(lambda: len(server.requests) > asked)
        assert time.monotonic() - at > 0.9

    play(story)


def test_selected_no_longer_is_gone() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        server.put(config_map("a", app="web"))
        server.put(config_map("b"))
        await until(lambda: set(mirror.held) == {("n", "a")})
        server.put(config_map("a"))
        await until(lambda: not mirror.held)

    play(story, query={"labelSelector": "app=web"})


def test_duplicates_and_overtaken_events_are_not_told() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        await until(lambda: server.watching)
        old = server.put(config_map("a", "1"))
        server.put(config_map("a", "2"))
        for _ in range(3):
            server.say({"type": "MODIFIED", "object": old})
        server.remove("ConfigMap", "a", "n")
        server.say({"type": "ADDED", "object": old})
        server.put(config_map("b", "1"))
        await until(lambda: ("n", "b") in mirror.held)
        assert mirror.held == truth(server)
        assert (mirror.puts, mirror.drops) == (3, 1)

    play(story)


def test_lists_anew_from_time_to_time() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        await until(lambda: server.watching)
        server.cut()
        await until(lambda: mirror.lists == 2)

    play(story, replace(QUICK, relist_s=(0.0, 0.0)))


def test_a_watch_that_ends_at_once_is_not_asked_for_again_at_once() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        await until(lambda: server.watching)
        for _ in range(5):
            await until(lambda: server.watching)
            server.end()
        waits = len(watches(server))
        assert waits <= 6
        assert mirror.phase == "synced", "an end is nothing bad"

    play(story, replace(QUICK, short_s=30.0))


def test_watches_that_give_nothing_make_it_list_anew() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        server.fail(200, times=FUTILE, watch=True)  # no lines, and no error that could be read
        await until(lambda: mirror.lists == 2)
        assert len(watches(server)) >= FUTILE
        server.put(config_map("a"))
        await until(lambda: mirror.held == truth(server))

    play(story, replace(QUICK, short_s=30.0))


def test_watches_that_always_end_at_once_are_told() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        while not (told := [each for each in mirror.conditions if each.phase == "behind"]):
            watched = server.watched
            await until(lambda: server.watching)
            server.end()
            await until(lambda watched=watched: server.watched > watched)
        assert "end as soon as they begin" in told[0].problem
        server.put(config_map("a"))
        await until(lambda: mirror.held and mirror.phase == "synced")

    play(story, replace(QUICK, short_s=0.02, rest_s=0.5))


def test_one_stream_instead_of_pages() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        for number in range(5):
            server.put(config_map(f"m{number}"))
        await until(lambda: mirror.held == truth(server))
        server.put(config_map("m5"))
        await until(lambda: mirror.held == truth(server))
        assert all("watch" in each.query for each in server.requests)
        server.compact()
        server.put(config_map("m6"))
        server.remove("ConfigMap", "m0", "n")
        server.say({"type": "ERROR", "object": status(410, "Expired")})
        await until(lambda: mirror.lists == 2)
        assert mirror.held == truth(server)

    play(story, replace(QUICK, watch_list=True), minor=34)


def test_a_server_that_has_no_such_stream() -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        server.put(config_map("a"))
        await until(lambda: server.watching and mirror.held == truth(server))
        server.say({"type": "ERROR", "object": status(410, "Expired")})
        await until(lambda: mirror.lists == 2)
        assert sum("sendInitialEvents" in each.query for each in server.requests) == 1
        assert {each.phase for each in mirror.conditions} <= {"synced", "behind"}

    play(story, replace(QUICK, watch_list=True), minor=20)


CHANGES = ("put", "put", "put", "remove", "again")
STEPS = (*CHANGES, "cut", "end", "compact", "bookmark", "fail", "wait")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3)), max_size=25), st.booleans())
def test_any_story_ends_with_the_same(steps: list[tuple[str, int]], whole: bool) -> None:
    async def story(server: FakeServer, mirror: Mirror) -> None:
        for count, (step, number) in enumerate(steps):
            await act(server, step, f"m{number}", count)
        server.put(config_map("last"))
        await until(lambda: mirror.held == truth(server))

    play(story, replace(QUICK, watch_list=whole), minor=34)


async def act(server: FakeServer, step: str, name: str, count: int) -> None:
    is_there = ("n", name) in server.objects("ConfigMap")
    if step == "put":
        server.put(config_map(name, str(count)))
    elif step == "remove" and is_there:
        server.remove("ConfigMap", name, "n")
    elif step == "again" and is_there:
        server.say({"type": "MODIFIED", "object": server.get("ConfigMap", name, "n")})
    elif step == "fail":
        server.fail(503)
    elif step == "wait":
        await asyncio.sleep(0.01)
    elif step in ("cut", "end", "compact", "bookmark"):
        getattr(server, step)()

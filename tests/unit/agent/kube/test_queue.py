import asyncio

from tulle.agent.kube.queue import DueQueue


async def all_of(queue: DueQueue[str]) -> list[str]:
    return [await queue.take() for _ in range(len(queue))]


def test_the_soonest_comes_first_and_each_once() -> None:
    queue: DueQueue[str] = DueQueue(lambda: 100.0)
    for name, at_s in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("a", 50.0)):
        queue.add(name, at_s)
    queue.add("now")
    assert asyncio.run(all_of(queue)) == ["a", "b", "c", "now"]


def test_equals_come_in_their_order() -> None:
    queue: DueQueue[str] = DueQueue(lambda: 0.0)
    for name in "cab":
        queue.add(name)
    assert asyncio.run(all_of(queue)) == ["c", "a", "b"]


def test_what_was_discarded_does_not_come() -> None:
    queue: DueQueue[str] = DueQueue(lambda: 9.0)
    for name in "abc":
        queue.add(name, 1.0)
    queue.discard("a")
    queue.discard("none")
    queue.discard("c")
    queue.add("c", 5.0)
    assert len(queue) == 2
    assert asyncio.run(all_of(queue)) == ["b", "c"]
    queue.add("d")
    queue.clear()
    assert len(queue) == 0


def test_one_that_waits_is_woken_by_what_comes_and_by_the_clock() -> None:
    now_s = 0.0

    async def wait() -> None:
        nonlocal now_s
        queue: DueQueue[str] = DueQueue(lambda: now_s)
        queue.add("later", 1000.0)
        taken = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        assert not taken.done()
        queue.add("now")
        assert await taken == "now"
        taken = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        now_s = 1000.0
        queue.add("another", 2000.0)
        assert await taken == "later"

    asyncio.run(wait())

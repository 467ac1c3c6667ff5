"""What is in force of what a server said, in whatever order it said it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.agent.kube.said import said, service
from tulle.agent.kube.store import KEPT, Store, Told
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import Namespace, ObjectMeta, ObjectRef, Service

V1 = "v1"
KEY = ("shop", "web")


def told(name: str, version: str, port: int = 80) -> Told:
    ports = [{"port": port, "protocol": "TCP"}]
    return ("shop", name), version, service(name, version, ports=ports)


def bad(name: str, version: str) -> Told:
    return ("shop", name), version, service(name, version, type="Imaginary")


def listed(store: Store, kind: str, items: list[Told], version: str) -> bool:
    """As a server's list tells: there are no others. Whether anything is different now."""
    came = [store.put(kind, item, version) for item in items]
    return store.keep(kind, {key for key, _, _ in items}) or any(came)


def test_what_is_not_in_a_list_is_gone() -> None:
    store = Store()
    listed(store, "Service", [told("web", "1"), told("db", "2")], V1)
    assert store.snapshot().of(Service).keys() == {("shop", "web"), ("shop", "db")}
    assert listed(store, "Service", [told("web", "1")], V1)
    assert store.snapshot().of(Service).keys() == {("shop", "web")}
    assert store.drop("Service", KEY) and not store.drop("Service", KEY)
    assert not store.snapshot().of(Service)


def test_what_says_the_same_is_the_same_and_asks_for_nothing() -> None:
    store = Store()
    listed(store, "Service", [told("web", "1")], V1)
    listed(store, "Namespace", [(("", "shop"), "1", said("shop", ""))], V1)
    before = store.snapshot()
    assert not store.put("Service", told("web", "2"), V1)  # somebody wrote its status
    assert not listed(store, "Service", [told("web", "3")], V1)
    assert store.snapshot() is before
    assert store.put("Service", told("web", "4", port=81), V1)
    now = store.snapshot()
    assert now.of(Service)[KEY] is not before.of(Service)[KEY]
    assert now.named(Namespace) is before.named(Namespace)
    assert before.of(Service)[KEY].spec.ports[0].port == 80


def test_a_bad_version_keeps_the_good_one_and_is_told_until_it_is_good_or_gone() -> None:
    store = Store()
    store.put("Service", told("web", "1"), V1)
    assert store.put("Service", bad("web", "2"), V1)
    (refusal,) = store.snapshot().refusals
    assert refusal.ref == ObjectRef("Service", *KEY)
    assert "spec.type" in refusal.reason and KEPT in refusal.reason
    assert KEY in store.snapshot().of(Service)
    assert store.put("Service", told("web", "3"), V1)  # as it was before
    assert not store.snapshot().refusals
    store.put("Service", bad("db", "4"), V1)
    assert KEPT not in store.snapshot().refusals[0].reason
    assert store.drop("Service", ("shop", "db")) and not store.snapshot().refusals


def test_what_was_recalled_holds_until_the_list_comes() -> None:
    store = Store()
    old = Namespace(ObjectMeta("old"))
    store.recall([old])
    assert store.snapshot().named(Namespace) == {"old": old}
    assert listed(store, "Namespace", [(("", "new"), "1", said("new", ""))], V1)
    assert store.snapshot().named(Namespace).keys() == {"new"}


def test_it_tells_once_what_changed() -> None:
    store = Store()
    store.put("Service", told("web", "1"), V1)
    assert store.changed() == {ObjectRef("Service", *KEY)}
    store.put("Service", told("web", "2"), V1)
    assert store.changed() == set()


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["put", "bad", "drop", "replace"]),
        st.sampled_from(["a", "b", "c"]),
        st.integers(1, 4),
    ),
    max_size=20,
)


@settings(deadline=None)
@given(EVENTS)
def test_after_a_list_it_holds_what_the_list_does_whatever_came_before(
    events: list[tuple[str, str, int]],
) -> None:
    store = Store()
    for at, (event, name, port) in enumerate(events):
        match event:
            case "put":
                store.put("Service", told(name, str(at), port), V1)
            case "bad":
                store.put("Service", bad(name, str(at)), V1)
            case "drop":
                store.drop("Service", ("shop", name))
            case "replace":
                listed(store, "Service", [told(name, str(at), port)], V1)
        snapshot = store.snapshot()
        assert all(ref_of(obj).name == key[1] for key, obj in snapshot.of(Service).items())
    final = [told("a", "1001", 5), told("c", "1002", 6)]
    listed(store, "Service", final, V1)
    fresh = Store()
    listed(fresh, "Service", final, V1)
    assert store.snapshot() == fresh.snapshot()

"""The protocol's order: what is sent when, what an answer means, what a new stream gets."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.edges.envoy.sample import cluster, endpoints, listener, route
from tulle import xds
from tulle.edges.envoy.catalogue import KINDS, TYPES, Catalogue
from tulle.edges.envoy.subscriber import REQUEST, Subscriber
from tulle.model.proxy import XdsImage, XdsKind

IMAGE: XdsImage = {
    "cluster": {"web": cluster("web")},
    "endpoints": {"web": endpoints("web", 1)},
    "listener": {"web": listener("web", 80)},
    "route": {"web": route("web", to="web")},
}


class Envoy:
    """One end of a stream, played by hand; `log` has what it was sent."""

    def __init__(self, catalogue: Catalogue, node: str = "n/1") -> None:
        self.catalogue, self.node = catalogue, node
        self.subscriber = Subscriber(catalogue)
        self.log: list[str] = []
        self.open: dict[XdsKind, Any] = {}

    def ask(self, kind: XdsKind, *names: str, have: dict[str, str] | None = None) -> None:
        self._say(kind, resource_names_subscribe=names, initial_resource_versions=have or {})

    def drop(self, kind: XdsKind, *names: str) -> None:
        self._say(kind, resource_names_unsubscribe=names)

    def update(self, image: XdsImage) -> None:
        self.subscriber.changed(self.catalogue.update(image))
        self._read()

    def accept(self, *kinds: XdsKind) -> None:
        """All that is open, or what is open of `kinds`."""
        for kind in kinds or tuple(self.open):
            if response := self.open.pop(kind, None):
                self._say(kind, response_nonce=response.nonce)

    def refuse(self, kind: XdsKind, reason: str) -> None:
        response = self.open.pop(kind)
        self._say(kind, response_nonce=response.nonce, error_detail={"message": reason})

    def take_all(self) -> list[str]:
        """Accepts until nothing comes; what came meanwhile."""
        before = len(self.log)
        while self.open:
            self.accept()
        return self.log[before:]

    def _say(self, kind: XdsKind, **fields: Any) -> None:
        type_url = xds.TYPE_URL + TYPES[kind]
        request = xds.message(REQUEST)(type_url=type_url, node={"id": self.node}, **fields)
        self.subscriber.changed(self.subscriber.receive(request))
        self._read()

    def _read(self) -> None:
        while (response := self.subscriber.next()) is not None:
            kind = KINDS[response.type_url]
            assert kind not in self.open
            self.open[kind] = response
            self.log += [f"{kind} {item.name}" for item in response.resources]
            self.log += [f"-{kind} {name}" for name in response.removed_resources]


def connected(image: XdsImage = IMAGE) -> Envoy:
    """One that has all of `image`."""
    catalogue = Catalogue()
    catalogue.update(image)
    envoy = Envoy(catalogue)
    envoy.ask("cluster")
    envoy.ask("endpoints", *image.get("endpoints", {}))
    envoy.ask("listener")
    envoy.take_all()
    envoy.ask("route", *image.get("route", {}))
    envoy.take_all()
    assert envoy.subscriber.settled
    envoy.log.clear()
    return envoy


def test_nothing_is_said_before_an_image_is_there() -> None:
    envoy = Envoy(Catalogue())
    envoy.ask("cluster", have={"web": "1"})
    assert not envoy.log, "least of all that everything is gone"
    envoy.update({})
    assert envoy.log == ["-cluster web"]


def test_listeners_wait_until_clusters_are_confirmed() -> None:
    catalogue = Catalogue()
    catalogue.update(IMAGE)
    envoy = Envoy(catalogue)
    envoy.ask("listener")
    envoy.ask("cluster")
    assert envoy.log == ["listener web", "cluster web"], "this one asked for listeners first"
    envoy = Envoy(catalogue)
    envoy.ask("cluster")
    envoy.ask("listener")
    assert envoy.log == ["cluster web"]
    envoy.ask("endpoints", "web")  # Envoy confirms a cluster when it has those
    assert envoy.log == ["cluster web", "endpoints web"]
    envoy.accept("endpoints")
    assert envoy.log == ["cluster web", "endpoints web"]
    envoy.accept("cluster")
    assert envoy.log == ["cluster web", "endpoints web", "listener web"]
    assert not envoy.subscriber.settled
    envoy.ask("route", "web")
    envoy.take_all()
    assert envoy.log[-1] == "route web"
    assert envoy.subscriber.settled and envoy.subscriber.node == "n/1"


def test_additions_before_removals_and_those_in_reverse() -> None:
    envoy = connected()
    envoy.ask("endpoints", "api")
    envoy.ask("route", "api")
    envoy.take_all()
    envoy.log.clear()
    envoy.update(
        {
            "cluster": {"api": cluster("api")},
            "endpoints": {"api": endpoints("api", 1)},
            "listener": {"api": listener("api", 81)},
            "route": {"api": route("api")},
        }
    )
    envoy.take_all()
    assert envoy.log == [
        *("cluster api", "endpoints api"),
        *("listener api", "route api"),
        *("-route web", "-listener web", "-endpoints web", "-cluster web"),
    ]
    assert envoy.subscriber.settled


def test_a_new_stream_gets_only_what_it_lacks() -> None:
    catalogue = Catalogue()
    catalogue.update(IMAGE)
    item = catalogue.served("cluster", "web")
    assert item
    envoy = Envoy(catalogue)
    envoy.ask("cluster", have={"web": item.version, "old": "1"})
    assert envoy.log == ["-cluster old"]
    envoy = Envoy(catalogue)
    envoy.ask("cluster", have={"web": "1"})
    assert envoy.log == ["cluster web"]


def test_a_changed_cluster_is_told_its_endpoints_again() -> None:
    envoy = connected()
    envoy.update({**IMAGE, "cluster": {"web": cluster("web", lb_policy="MAGLEV")}})
    assert envoy.log == ["cluster web", "endpoints web"]


def test_a_first_question_is_answered_with_nothing_too() -> None:
    """Envoy asks for listeners only when it has been told of clusters."""
    catalogue = Catalogue()
    catalogue.update({})
    envoy = Envoy(catalogue)
    envoy.ask("cluster")
    assert list(envoy.open) == ["cluster"] and envoy.log == []
    envoy.take_all()
    envoy.ask("listener", have={"web": "1"})
    assert envoy.log == ["-listener web"]


def test_a_cluster_without_endpoints_holds_nothing_up() -> None:
    catalogue = Catalogue()
    catalogue.update({**IMAGE, "endpoints": {}})
    envoy = Envoy(catalogue)
    envoy.ask("cluster")
    envoy.ask("listener")
    envoy.ask("endpoints", "web")
    assert envoy.log == ["cluster web", "-endpoints web"]
    envoy.update({**IMAGE, "endpoints": {}, "cluster": {"web": cluster("web", lb_policy="MAGLEV")}})
    envoy.accept("endpoints", "cluster")
    assert envoy.log[2:] == ["cluster web", "-endpoints web"], "again, for the changed one"


def test_what_is_asked_for_again_is_told_again() -> None:
    envoy = connected()
    envoy.ask("route", "web")
    assert envoy.log == ["route web"]


def test_what_does_not_exist_is_told_once() -> None:
    envoy = connected()
    envoy.ask("route", "nowhere")
    assert envoy.log == ["-route nowhere"]
    envoy.take_all()
    envoy.update({**IMAGE, "route": {**IMAGE["route"], "nowhere": route("nowhere")}})
    assert envoy.log == ["-route nowhere", "route nowhere"]


def test_who_unsubscribes_hears_no_more() -> None:
    envoy = connected()
    envoy.drop("route", "web")
    envoy.update({**IMAGE, "route": {"web": route("web", "news")}})
    assert envoy.log == [] and envoy.subscriber.settled


def test_all_has_been_asked_for() -> None:
    envoy = connected()
    assert envoy.subscriber.has_asked_for_all
    envoy.update({**IMAGE, "route": {**IMAGE["route"], "api": route("api")}})
    assert not envoy.subscriber.has_asked_for_all


def test_of_many_only_the_one_that_envoy_names_is_held_back() -> None:
    envoy = connected()
    before = envoy.catalogue.served("cluster", "web")
    names = [f"c{number}" for number in range(9)]
    clusters = {name: cluster(name, type="STATIC") for name in names}
    clusters["web"] = cluster("web", lb_policy="MAGLEV")
    envoy.update({**IMAGE, "cluster": clusters})
    envoy.accept("endpoints")
    envoy.refuse("cluster", "Error adding/updating cluster(s) web: no such policy")
    assert sorted(item.name for item in envoy.open["cluster"].resources) == names
    envoy.accept("cluster")  # the others
    envoy.accept("endpoints")
    envoy.refuse("cluster", "Error adding/updating cluster(s) web: no such policy")
    envoy.take_all()
    assert envoy.subscriber.settled
    assert list(envoy.catalogue.refused["cluster"]) == ["web"]
    assert envoy.catalogue.served("cluster", "web") == before
    envoy.update({**IMAGE, "cluster": {**clusters, "web": cluster("web")}})
    envoy.take_all()
    assert not envoy.catalogue.refused["cluster"]


@pytest.mark.parametrize("bad", [0, 7, 15])
def test_one_that_envoy_does_not_name_is_found_by_halves(bad: int) -> None:
    catalogue = Catalogue()
    names = [f"c{number:02}" for number in range(16)]
    catalogue.update({"cluster": {name: cluster(name, type="STATIC") for name in names}})
    envoy = Envoy(catalogue)
    envoy.ask("cluster")
    answers = 0
    while envoy.open:
        answers += 1
        sent = [item.name for item in envoy.open["cluster"].resources]
        if names[bad] in sent:
            envoy.refuse("cluster", "validation failed")
        else:
            envoy.accept("cluster")
    assert list(catalogue.refused["cluster"]) == [names[bad]]
    assert answers <= 9
    for name in names:
        assert (catalogue.served("cluster", name) is None) == (name == names[bad])


def test_a_refused_one_that_it_has_in_an_older_version_is_not_removed() -> None:
    """As after a restart of the agent, which does not know what was good."""
    catalogue = Catalogue()
    catalogue.update(IMAGE)
    envoy = Envoy(catalogue)
    envoy.ask("cluster", have={"web": "older"})
    envoy.refuse("cluster", "web: no")
    envoy.update({**IMAGE, "endpoints": {}})
    assert envoy.log == ["cluster web"]


def test_what_was_in_the_way_is_gone_so_it_is_tried_again() -> None:
    envoy = connected()
    both = {**IMAGE, "listener": {**IMAGE["listener"], "web-2": listener("web-2", 80)}}
    envoy.update(both)
    envoy.refuse("listener", "web-2: duplicate address")
    envoy.log.clear()
    envoy.update({**IMAGE, "listener": {"web-2": both["listener"]["web-2"]}})
    assert envoy.take_all() == ["listener web-2"]
    assert envoy.log == ["-listener web", "listener web-2"]
    assert not envoy.catalogue.refused["listener"]


def test_late_answers_and_unknown_kinds_are_ignored() -> None:
    envoy = connected()
    request = xds.message(REQUEST)(type_url="type.googleapis.com/envoy.Unknown")
    assert envoy.subscriber.receive(request) == []
    envoy._say("cluster", response_nonce="999")
    assert envoy.subscriber.settled and not envoy.log

"""The made-up world is one that a node takes in without a word."""

from __future__ import annotations

import json

from bench.worlds import SMALL, Size, manifests, node_files, pod_address, world
from tulle.model.kubernetes import SERVICE_NAME_LABEL


def test_nothing_of_it_is_refused_and_all_of_it_is_there() -> None:
    made = world(SMALL)
    assert len(made.services) == len(made.slices) == SMALL.services
    assert sum(len(item.endpoints) for item in made.slices.values()) == 3 * SMALL.services
    assert sum(len(pods) for pods in made.remote.values()) == SMALL.pods
    assert len(made.nodes) == SMALL.nodes
    assert len(made.policies) == SMALL.policies
    seen = {(p.namespace, p.labels["app"]) for pods in made.remote.values() for p in pods.values()}
    assert len(seen) == SMALL.identities


def test_every_endpoint_is_a_pod_of_the_mesh_and_every_slice_a_services() -> None:
    made = world(SMALL)
    addresses = {str(pod.addresses[0]) for pods in made.remote.values() for pod in pods.values()}
    assert len(addresses) == SMALL.pods
    for item in made.slices.values():
        assert {address for entry in item.endpoints for address in entry.addresses} <= addresses
        assert (item.metadata.namespace, item.metadata.labels[SERVICE_NAME_LABEL]) in made.services


def test_the_same_size_gives_the_same_world() -> None:
    for make in (manifests, node_files):
        assert list(make(SMALL)) == list(make(SMALL))


def test_pods_of_the_full_size_have_addresses_of_their_own() -> None:
    size = Size()
    assert len({pod_address(size, number) for number in range(size.pods)}) == size.pods
    files = [json.loads(data) for _, data in node_files(Size(pods=1000))]
    cidrs = {file["node"]["spec"]["podCIDR"] for file in files}
    assert len(cidrs) == size.nodes

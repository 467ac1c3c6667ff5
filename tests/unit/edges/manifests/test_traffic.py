"""What a traffic policy is refused for, in words; tests/hostile bends every field."""

from copy import deepcopy
from typing import Any

import msgspec
import pytest

from tests.hostile.traffic import BACKEND, FAULT, RATE_LIMIT, VALID_TRAFFIC, XBACKEND
from tulle.edges.manifests.traffic import validate_traffic
from tulle.errors import ManifestError
from tulle.model.kinds import KINDS


def check(base: dict[str, Any], **spec: Any) -> Any:
    document = {**base, "spec": {**base["spec"], **spec}}
    return validate_traffic(msgspec.convert(document, KINDS[base["kind"]]))


def refused(base: dict[str, Any], **spec: Any) -> str:
    with pytest.raises(ManifestError) as caught:
        check(base, **spec)
    return str(caught.value)


@pytest.mark.parametrize("base", VALID_TRAFFIC, ids=lambda base: base["kind"])
def test_a_status_of_another_controller_is_dropped(base: dict[str, Any]) -> None:
    document = {**deepcopy(base), "status": {"ancestors": []}}
    assert validate_traffic(msgspec.convert(document, KINDS[base["kind"]])).status is None


def test_targets_are_of_the_kinds_that_a_policy_can_hold_for() -> None:
    route = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "web"}
    said = refused(BACKEND, targetRefs=[route])
    assert said == "spec.targetRefs[0].kind: must be a Service of the core group"
    assert "must be a Gateway of gateway.networking.k8s.io, " in refused(
        RATE_LIMIT, targetRefs=[{**route, "kind": "TCPRoute"}]
    )
    assert refused(RATE_LIMIT, targetRefs=[route, route]) == (
        "spec.targetRefs[1]: names the same target as an earlier one"
    )


def test_what_says_nothing_is_refused() -> None:
    for base in (BACKEND, XBACKEND):
        with pytest.raises(ManifestError, match="says nothing"):
            spec = {"targetRefs": XBACKEND["spec"]["targetRefs"]}
            validate_traffic(msgspec.convert({**base, "spec": spec}, KINDS[base["kind"]]))
    assert refused(FAULT, delay=None, abort=None) == "spec: needs a delay or an abort"
    said = refused(BACKEND, outlierDetection={"consecutiveErrors": 0})
    assert said == "spec.outlierDetection: finds nothing: both kinds of errors are 0"


def test_fields_that_do_not_go_together() -> None:
    keys = [{"type": "SourceIP"}]
    said = refused(BACKEND, loadBalancing={"type": "Random", "hashOn": keys})
    assert said == "spec.loadBalancing.hashOn: needs type RingHash or Maglev"
    said = refused(BACKEND, loadBalancing={"type": "Maglev", "slowStart": "10s"})
    assert said == "spec.loadBalancing.slowStart: needs type RoundRobin or LeastRequest"
    said = refused(BACKEND, circuitLimits={"retries": 1})
    assert said.startswith("spec.circuitLimits.retries: cannot stand beside retryConstraint")
    said = refused(BACKEND, loadBalancing={"type": "RingHash", "hashOn": [{"type": "Header"}]})
    assert said == "spec.loadBalancing.hashOn[0].name: is required for type Header"


def test_times_and_shares_have_their_ranges() -> None:
    said = refused(RATE_LIMIT, limits=[{"requests": 1, "interval": "49ms"}])
    assert said == "spec.limits[0].interval: must be from 50ms to 24h"
    said = refused(RATE_LIMIT, limits=[{"requests": 5, "burst": 4}])
    assert said == "spec.limits[0].burst: must be at least as large as requests"
    said = refused(FAULT, abort={"status": 500, "percent": 0.00001})
    assert said == "spec.abort.percent: has more than four places"
    check(FAULT, abort={"status": 500, "percent": 0.0001})

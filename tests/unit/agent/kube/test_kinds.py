from tulle.agent.kube.kinds import ALL, BY_NAME, ELSEWHERE, OWN, WATCHED
from tulle.model.kinds import KINDS


def test_every_kind_is_watched_or_read_by_name() -> None:
    watched = {item.kind for item in WATCHED}
    assert watched | BY_NAME | {OWN} | ELSEWHERE == KINDS.keys()
    assert not watched & BY_NAME


def test_the_version_that_is_understood_best_comes_first() -> None:
    assert ALL["EndpointSlice"].versions == (
        "discovery.k8s.io/v1",
        "discovery.k8s.io/v1beta1",
    )
    assert ALL["HTTPRoute"].versions[0] == "gateway.networking.k8s.io/v1"

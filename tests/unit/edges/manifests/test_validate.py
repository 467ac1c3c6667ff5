import pytest

from tulle.edges.manifests import validate
from tulle.edges.manifests.validate import CLUSTER_SCOPED
from tulle.errors import ManifestError
from tulle.model.kinds import KINDS
from tulle.model.kubernetes import (
    LabelSelector,
    Namespace,
    NetworkPolicy,
    NetworkPolicySpec,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
)


def test_namespaced_objects_get_the_default_namespace() -> None:
    service = Service(metadata=ObjectMeta("web"), spec=ServiceSpec(ports=(ServicePort(80),)))
    assert validate(service).metadata.namespace == "default"


def test_cluster_scoped_objects_have_none() -> None:
    assert validate(Namespace(metadata=ObjectMeta("shop"))).metadata.namespace == ""
    with pytest.raises(ManifestError) as caught:
        validate(Namespace(metadata=ObjectMeta("shop", "shop")))
    assert caught.value.field == "metadata.namespace"


def test_every_scope_is_that_of_a_kind() -> None:
    assert set(KINDS) >= CLUSTER_SCOPED


def test_a_policy_may_have_a_dotted_name_but_a_service_may_not() -> None:
    spec = NetworkPolicySpec(pod_selector=LabelSelector())
    validate(NetworkPolicy(metadata=ObjectMeta("allow.web"), spec=spec))
    with pytest.raises(ManifestError) as caught:
        validate(Service(metadata=ObjectMeta("shop.web"), spec=ServiceSpec()))
    assert caught.value.field == "metadata.name"


def test_own_annotations_that_mean_nothing_are_refused() -> None:
    validate(Namespace(metadata=ObjectMeta("a", annotations={"example.org/x": "any\ntext"})))
    with pytest.raises(ManifestError, match="means nothing on a Namespace"):
        validate(Namespace(metadata=ObjectMeta("a", annotations={"tulle.io/weight": "1"})))


@pytest.mark.parametrize("text", ["true", "false"])
def test_own_annotations_are_true_or_false(text: str) -> None:
    spec = NetworkPolicySpec(pod_selector=LabelSelector())
    for name in ("audit", "reject"):
        validate(NetworkPolicy(ObjectMeta("p", annotations={f"tulle.io/{name}": text}), spec))
        bad = ObjectMeta("p", annotations={f"tulle.io/{name}": text.upper()})
        with pytest.raises(ManifestError, match='must be "true" or "false"'):
            validate(NetworkPolicy(bad, spec))

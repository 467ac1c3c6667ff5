from tulle.model.kubernetes import HEADLESS, ServiceSpec
from tulle.model.multicluster import import_of, import_type, imported


def test_no_api_has_what_stands_for_an_import() -> None:
    assert "/" in imported("web") and import_of(imported("web")) == "web"
    assert not import_of("web") and not import_of("west/web")


def test_types() -> None:
    assert import_type(ServiceSpec(cluster_ip=HEADLESS)) == "Headless"
    assert import_type(ServiceSpec()) == "ClusterSetIP"

"""`tulle delete`: objects of manifests, or workloads by name."""

from .conftest import Cli, FakeAgent


def test_workloads(agent: FakeAgent, cli: Cli) -> None:
    agent.answers = {"DELETE /v1/workloads/shop/web": (200, {})}
    done = cli("delete", "-n", "shop", "web", "gone", code=1)
    assert done.stdout == "Workload shop/web deleted\n"
    assert done.stderr == "tulle: no DELETE /v1/workloads/shop/gone\n"


def test_either_files_or_workloads(cli: Cli) -> None:
    assert "either" in cli("delete", code=2).stderr
    assert "either" in cli("delete", "-f", "-", "web", code=2).stderr


def test_objects_have_no_names_here(cli: Cli) -> None:
    for words in (["svc", "web"], ["Service", "web"], ["svc/web"]):
        assert "objects go with -f FILE" in cli("delete", *words, code=2).stderr

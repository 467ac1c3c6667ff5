"""What a container's command, environment and end mean."""

import pytest

from tulle.agent.containers import RestartPolicy, command_of, environment, expand, starts_again
from tulle.model.kubernetes import Container, EnvVar


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$(A)-$(B)", "1-$(B)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A ${A} $", "$A ${A} $"),
        ("$(A", "$(A"),
    ],
)
def test_references_are_filled_in_as_kubernetes_does(text: str, result: str) -> None:
    assert expand(text, {"A": "1"}) == result


def test_variable_may_refer_to_those_before_it() -> None:
    env = (EnvVar("URL", "$(HOST)/"), EnvVar("HOST", "db"), EnvVar("DSN", "pg://$(HOST)"))
    container = Container("c", command=("run",), args=("--dsn=$(DSN)",), env=env)
    assert environment(container) == {"URL": "$(HOST)/", "HOST": "db", "DSN": "pg://db"}
    assert command_of(container) == ("run", "--dsn=pg://db")


@pytest.mark.parametrize(
    ("policy", "after_success", "after_failure", "unseen"),
    [
        ("Always", True, True, True),
        ("OnFailure", False, True, True),
        ("Never", False, False, False),
    ],
)
def test_restart_policy(
    policy: RestartPolicy, after_success: bool, after_failure: bool, unseen: bool
) -> None:
    answers = [starts_again(policy, code) for code in (0, 1, None)]
    assert answers == [after_success, after_failure, unseen]

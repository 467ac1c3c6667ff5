"""`tulle apply`; what it sends and prints is in test_manifests.py."""

from .conftest import Cli


def test_a_file_is_needed(cli: Cli) -> None:
    assert "-f" in cli("apply", code=2).stderr

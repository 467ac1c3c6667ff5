"""The command line as a process: exit codes, errors, and what it takes to start."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tulle import __version__
from tulle.cli.group import HIDDEN, VERBS, tulle


def run(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-P", "-m", "tulle.cli", *words]
    return subprocess.run(line, capture_output=True, text=True)


def test_an_error_is_one_line_and_exit_code_1() -> None:
    done = run("--node", "test-nobody", "get", "services")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "tulle: no agent for node 'test-nobody' (/run/tulle/test-nobody/agent.sock):"
        " start it with `tulle lab up test-nobody`\n"
    )


def test_version() -> None:
    assert run("--version").stdout == f"tulle {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [["get", "nonsense"], ["frobnicate"], ["--node", "../x", "status"], ["apply"], ["lab", "up"]],
)
def test_what_makes_no_sense_is_exit_code_2(words: list[str]) -> None:
    assert CliRunner().invoke(tulle, words).exit_code == 2


def test_every_verb_has_help() -> None:
    listed = CliRunner().invoke(tulle, ["--help"]).output
    for verb in VERBS:
        assert f"  {verb} " in listed
        assert CliRunner().invoke(tulle, [verb, "--help"]).exit_code == 0


def test_a_verb_imports_only_what_it_needs() -> None:
    code = (
        "import sys; from tulle.cli.group import tulle\n"
        "tulle(['get', 'services', '--help'], standalone_mode=False)\n"
        "heavy = {'aiohttp', 'asyncio', 'msgspec', 'pyroute2', 'rich', 'yaml', 'tulle.abi'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_every_verb_s_module_is_a_verb() -> None:
    here = Path(__file__).parents[3] / "src/tulle/cli"
    commands = {path.stem for path in here.glob("*.py") if "\ndef command(" in path.read_text()}
    assert commands == {verb.replace("-", "_") for verb in (*VERBS, *HIDDEN)}

"""tools/check_tree.py finds what it says it finds, in trees made here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_tree import findings, is_reserved

URL = "https:" + "//"  # apart, so that the check on this file does not find our hosts
SETTINGS = """
[tool.check_tree]
hosts = ["docs.example-project.dev"]
entry_points = ["tulle.cli"]
[tool.check_tree.tested_by]
"""


class Tree:
    """A small project in which nothing is wrong yet."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("pyproject.toml", SETTINGS)
        self.write("requirements/dev.txt", "click==8 \\\n    --hash=sha256:0\n")
        self.write("src/tulle/__init__.py", "")
        self.write("src/tulle/cli/__init__.py", "def main():\n    from tulle.core import one\n")
        self.write("src/tulle/core/__init__.py", "")
        self.write("src/tulle/core/one.py", "def f(): ...\n")
        self.write("tests/unit/test_cli.py", "")
        self.write("tests/unit/core/test_one.py", "")
        self.write("bpf/lib/a.h", "")
        self.write("bpf/a.bpf.c", '#include "lib/a.h"\n')

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def findings(self) -> list[str]:
        return findings(self.root)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_a_good_tree_has_no_findings(tree: Tree) -> None:
    assert tree.findings() == []


def test_a_source_without_its_test(tree: Tree) -> None:
    (tree.root / "tests/unit/core/test_one.py").unlink()
    [found] = tree.findings()
    assert found.startswith("src/tulle/core/one.py: no tests/unit/core/test_one.py")


def test_another_test_may_be_named_and_must_exist(tree: Tree) -> None:
    (tree.root / "tests/unit/core/test_one.py").unlink()
    entry = '"src/tulle/core/one.py" = "tests/datapath/test_all.py"\n'
    tree.write("pyproject.toml", SETTINGS + entry)
    [found] = tree.findings()
    assert "no file tests/datapath/test_all.py" in found
    tree.write("tests/datapath/test_all.py", "")
    assert tree.findings() == []


def test_a_whole_folder_may_be_listed(tree: Tree) -> None:
    (tree.root / "tests/unit/core/test_one.py").unlink()
    tree.write("pyproject.toml", SETTINGS + '"src/tulle/core/" = "tests/unit"\n')
    assert tree.findings() == []


def test_an_exception_for_a_source_that_is_gone(tree: Tree) -> None:
    tree.write("pyproject.toml", SETTINGS + '"src/tulle/gone.py" = "only constants"\n')
    assert tree.findings() == [
        "pyproject.toml: tool.check_tree.tested_by: no file src/tulle/gone.py"
    ]


def test_constants_need_no_test(tree: Tree) -> None:
    tree.write("src/tulle/core/two.py", "X = 1\n")
    tree.write("src/tulle/core/one.py", "from .two import X\ndef f(): ...\n")
    assert tree.findings() == []


@pytest.mark.parametrize(
    "how", ["import tulle.core.two", "from . import two", "from .two import X"]
)
def test_a_module_that_only_tests_import(tree: Tree, how: str) -> None:
    tree.write("src/tulle/core/two.py", "X = 1\n")
    tree.write("tests/unit/core/test_two.py", "from tulle.core.two import X\n")
    [found] = tree.findings()
    assert found.startswith("src/tulle/core/two.py: nothing imports it")
    tree.write("src/tulle/core/one.py", how + "\ndef f(): ...\n")
    assert tree.findings() == []


def test_a_module_that_imports_only_itself(tree: Tree) -> None:
    tree.write("src/tulle/core/two.py", "import tulle.core.two\n")
    assert len(tree.findings()) == 1


def test_a_header_that_nothing_includes(tree: Tree) -> None:
    tree.write("bpf/lib/b.h", "")
    assert tree.findings() == ["bpf/lib/b.h: nothing includes it"]


def test_a_host_has_to_be_listed(tree: Tree) -> None:
    tree.write("docs/a.md", f"see {URL}docs.example-project.dev/x\nsee {URL}mirror.corp.dev/x\n")
    assert tree.findings() == ["docs/a.md:2: host mirror.corp.dev is not in tool.check_tree.hosts"]


@pytest.mark.parametrize(
    "host", ["10.96.0.1", "localhost", "web", "web.shop.svc", "www.example.com", "a.test"]
)
def test_placeholder_hosts(host: str) -> None:
    assert is_reserved(host)


@pytest.mark.parametrize("host", ["example-project.dev", "org.dev", "test.dev.net"])
def test_real_hosts(host: str) -> None:
    assert not is_reserved(host)


def test_the_checkouts_own_path(tree: Tree) -> None:
    tree.write("docs/a.md", f"as in {tree.root}/src\n")
    assert tree.findings() == [f"docs/a.md:1: a path of one machine: {tree.root}/"]


def test_the_checkouts_first_directory_is_a_word_that_others_may_use(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.check_tree.SYSTEM", ())  # as if there were no /tmp elsewhere
    first = f"/{tree.root.parts[1]}/"
    tree.write("docs/a.md", f"GET {first}prefix\n")
    assert tree.findings() == []


def test_a_process_root_is_nobodys_home(tree: Tree) -> None:
    tree.write("docs/a.md", "open(f'/proc/{pid}/root/etc/hosts')\n")
    assert tree.findings() == []


def test_a_lock_file(tree: Tree) -> None:
    tree.write("uv.lock", "")
    [found] = tree.findings()
    assert found.startswith("uv.lock: ")


def test_a_dependency_without_hashes(tree: Tree) -> None:
    tree.write("pyproject.toml", '[project]\ndependencies = ["Click>=8", "rich"]\n' + SETTINGS)
    assert tree.findings() == ["requirements/dev.txt: no rich: run `./run lock`"]


def test_pictures_and_made_files_are_left_alone(tree: Tree) -> None:
    tree.write("build/log/a.log", f"{URL}mirror.corp.dev/\n")
    (tree.root / "docs").mkdir()
    (tree.root / "docs/a.png").write_bytes(b"\x89PNG\xff\xfe")
    assert tree.findings() == []

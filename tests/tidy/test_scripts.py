"""The set-up scripts, with a Python that only writes down what it is asked: nothing is installed here."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tidy.tree import ROOT

FAKE_PYTHON = """\
#!/bin/sh
printf '%s\\n' "$*" >>"$LOG"
case "$*" in
*version_info*) [ -z "$OLD" ] ;;
*ensurepip*) [ -z "$NO_VENV" ] ;;
--version) echo "Python 3.11.0" ;;
*"-m venv"*)
    rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python"
    printf '#!/bin/sh\\nprintf "[%%s]" "$@"\\n' >"$4/bin/bursar"; chmod +x "$4/bin/bursar" ;;
*"pip install"*) [ -z "$NO_NETWORK" ] || { echo "ERROR: no network" >&2; exit 1; } ;;
*) echo "3.11 $0" ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A copy of the scripts in a folder of its own, and a PATH with nothing but what they may use."""

    root: Path
    path: Path
    log: Path

    def run(
        self, script: str, *arguments: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        self.log.write_text("")
        return subprocess.run(
            [self.root / "scripts" / script, *arguments],
            cwd=self.path,
            env={"PATH": str(self.path), "LOG": str(self.log), **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def asked(self, what: str) -> int:
        """How many commands that hold `what` the fake Python was given."""
        return sum(what in line for line in self.log.read_text().splitlines())


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    root = tmp_path / "a folder with spaces"
    for name in ("scripts", "requirements"):
        shutil.copytree(ROOT / name, root / name)
    shutil.copy(ROOT / "pyproject.toml", root)
    path = tmp_path / "bin"
    path.mkdir()
    for tool in ("sh", "dirname", "cat", "cksum", "mkdir", "rm", "cp", "chmod"):
        found = shutil.which(tool)
        assert found
        (path / tool).symlink_to(found)
    python = path / "python3"
    python.write_text(FAKE_PYTHON)
    python.chmod(0o755)
    return Checkout(root, path, tmp_path / "log")


def test_the_first_run_installs_and_the_second_does_not(checkout: Checkout) -> None:
    first = checkout.run("demo", "--calls", "a b")
    assert (first.returncode, first.stdout) == (0, "[demo][--calls][a b]")
    assert checkout.asked("-m venv --clear") == 1
    assert checkout.asked("pip install --quiet --require-hashes -r") == 1
    assert checkout.asked("pip install --quiet --no-deps --no-build-isolation -e") == 1

    second = checkout.run("demo")
    assert (second.returncode, second.stdout, second.stderr) == (0, "[demo]", "")
    assert (checkout.asked("-m venv"), checkout.asked("pip install")) == (0, 0)


def test_the_test_lock_serves_the_demo_but_not_the_other_way(checkout: Checkout) -> None:
    checkout.run("demo")
    checkout.run("test", "-q")
    assert checkout.asked("requirements/test.txt") == 1
    assert checkout.asked("-m pytest -q") == 1
    (checkout.root / ".venv" / ".bursar-run").unlink()
    checkout.run("demo")
    assert checkout.asked("pip install") == 0


@pytest.mark.parametrize("changed", ["pyproject.toml", "requirements/run.txt"])
def test_a_changed_lock_is_installed(checkout: Checkout, changed: str) -> None:
    checkout.run("demo")
    with (checkout.root / changed).open("a") as file:
        file.write("# changed\n")
    checkout.run("demo")
    assert (checkout.asked("-m venv"), checkout.asked("--require-hashes")) == (0, 1)


def test_a_checkout_that_moved_is_installed_again(checkout: Checkout, tmp_path: Path) -> None:
    checkout.run("demo")
    moved = Checkout(checkout.root.rename(tmp_path / "elsewhere"), checkout.path, checkout.log)
    moved.run("demo")
    assert moved.asked("--no-build-isolation") == 1


def test_an_interrupted_install_begins_again(checkout: Checkout) -> None:
    failed = checkout.run("demo", env={"NO_NETWORK": "1"})
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "ERROR: no network" in failed.stderr
    again = checkout.run("demo")
    assert again.returncode == 0
    assert (checkout.asked("-m venv --clear"), checkout.asked("--require-hashes")) == (1, 1)


def test_a_venv_whose_python_is_gone_is_made_again(checkout: Checkout) -> None:
    checkout.run("demo")
    python = checkout.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    assert checkout.run("demo").returncode == 0
    assert checkout.asked("-m venv --clear") == 1


def test_an_empty_venv_folder_is_made_whole(checkout: Checkout) -> None:
    (checkout.root / ".venv").mkdir()
    assert checkout.run("demo").returncode == 0


def test_a_venv_that_is_no_folder_is_left_alone(checkout: Checkout) -> None:
    (checkout.root / ".venv").write_text("mine")
    refused = checkout.run("demo")
    assert refused.returncode == 1
    assert "is not a folder" in refused.stderr
    assert (checkout.root / ".venv").read_text() == "mine"


def test_no_python_is_said_clearly(checkout: Checkout) -> None:
    for env in ({"OLD": "1"}, {}):
        if not env:
            (checkout.path / "python3").unlink()
        refused = checkout.run("test", env=env)
        assert refused.returncode == 1
        assert "no Python 3.11 or newer was found" in refused.stderr
        assert not (checkout.root / ".venv").exists()


def test_a_newer_python_by_its_own_name_is_found(checkout: Checkout) -> None:
    (checkout.path / "python3").rename(checkout.path / "python3.13")
    assert checkout.run("demo").returncode == 0


def test_a_python_without_venv_is_said_clearly(checkout: Checkout) -> None:
    refused = checkout.run("demo", env={"NO_VENV": "1"})
    assert refused.returncode == 1
    assert "apt install python3-venv" in refused.stderr
    assert not (checkout.root / ".venv").exists()

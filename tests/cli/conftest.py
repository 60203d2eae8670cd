"""A user's folder, the command line in it, and a provider to call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bursar.cli.group import cli
from bursar.sim.process import SimProcess, start_process

Bursar = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, a terminal of 80 columns, no proxies."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path


@pytest.fixture
def bursar(folder: Path) -> Bursar:
    """Runs `bursar` with arguments in the folder."""

    def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(cli, arguments, input=stdin, prog_name="bursar")

    return run


@pytest.fixture(scope="module")
def sim() -> Iterator[SimProcess]:
    with start_process(seed=3) as process:
        yield process


@pytest.fixture
def key(sim: SimProcess, monkeypatch: pytest.MonkeyPatch) -> str:
    """Points OpenAI's variables at the simulator."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{sim.url}/openai/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-sim-secret")
    return "sk-sim-secret"

"""A folder of its own for every example, in which a key is set and its provider is the simulator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.simulator import Sim, simulating


@pytest.fixture(scope="session")
def shared_sim() -> Iterator[Sim]:
    with simulating() as sim:
        yield sim


@pytest.fixture
def sim(shared_sim: Sim) -> Sim:
    shared_sim.reset()
    return shared_sim


@pytest.fixture
def folder(sim: Sim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_keys_of_the_developer: None) -> Path:
    """An empty working folder; OpenAI and Groq are the simulator. Nothing here can reach a provider."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-sim-docs")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{sim.url}/openai/v1")
    monkeypatch.setenv("GROQ_API_KEY", "sk-sim-docs")
    monkeypatch.setenv("GROQ_BASE_URL", f"{sim.url}/groq/openai/v1")
    return tmp_path

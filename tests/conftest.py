"""What every test shares: an environment without the developer's keys, and the recorded provider responses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.llama.server"]

# Deadlines and "too slow" are timing assertions: on a busy machine they fail without a fault. A run tries the examples
# that the run before it tried; whoever looks for new ones passes --hypothesis-profile=search.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("bursar", settings.get_profile("search"), derandomize=True)
settings.load_profile("bursar")

PROVIDER_PREFIXES = ("OPENAI_", "ANTHROPIC_", "GROQ_", "OPENROUTER_", "OLLAMA_", "VLLM_", "BURSAR_")


@pytest.fixture(autouse=True)
def no_keys_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test can spend real money, nor pass only where somebody's keys are set."""
    for name in list(os.environ):
        if name.startswith(PROVIDER_PREFIXES) and name != "BURSAR_RECORDINGS":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of recorded provider responses, named by BURSAR_RECORDINGS."""
    named = os.environ.get("BURSAR_RECORDINGS")
    if not named:
        pytest.skip("BURSAR_RECORDINGS is not set: the recorded provider responses were NOT tried")
    folder = Path(named)
    assert folder.is_dir(), f"BURSAR_RECORDINGS names {folder}, which is not a folder"
    return folder

"""Every YAML block is a bursar.yaml that loads without a warning."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bursar.config import load
from bursar.config.checks import contradictions
from tests.docs.fences import Fence, fences


@pytest.mark.parametrize("fence", fences("yaml"), ids=str)
def test_a_file_loads(fence: Fence, tmp_path: Path) -> None:
    path = tmp_path / "bursar.yaml"
    path.write_text(fence.body)
    environ = dict.fromkeys(re.findall(r"\$\{([A-Z_]+)", fence.body), "http://localhost/x")
    settings = load(path, environ={"OPENAI_API_KEY": "sk-sim-docs", "OPENROUTER_API_KEY": "sk-sim-docs", **environ})
    assert [one for one in contradictions(settings) if one.level != "note"] == []

"""The building blocks are there under their names, and cost little to import."""

from __future__ import annotations

import subprocess
import sys

import bursar
from bursar import blocks


def test_they_are_importable_from_bursar() -> None:
    for name in blocks.__all__:
        assert getattr(bursar, name) is getattr(blocks, name)


def test_importing_and_making_them_loads_nothing_heavy() -> None:
    code = (
        "import sys; from bursar import CostTracker, PerformanceMonitor, TokenCounter;"
        "CostTracker('openai', 'gpt-4o', prices={'input': 1}).estimate_cost(1); TokenCounter(); PerformanceMonitor();"
        "print([one for one in ('aiohttp', 'asyncio', 'genai_prices', 'httpx2', 'rich', 'tiktoken', 'yaml')"
        " if one in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"

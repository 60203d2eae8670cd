"""The fixture `llama_base_url`: llama.cpp's own HTTP server, for the length of the test run.

It speaks OpenAI's chat completions (streamed and not) and embeddings, asks for no key, and knows one model, `tiny`.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.llama.model import make

ROOT = Path(__file__).parents[2]
START_SECONDS_MAX = 60


@pytest.fixture(scope="session")
def llama_base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a running server, with its `/v1`."""
    missing = [name for name in ("xllamacpp", "gguf") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} cannot be imported here: llama.cpp was NOT tried")
    folder = tmp_path_factory.mktemp("llama")
    make(folder / "tiny.gguf")
    log = folder / "llama.log"
    command = [sys.executable, "-m", "tests.llama.process", str(folder / "tiny.gguf"), str(os.getpid())]
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            yield f"{wait_until_healthy(process, log)}/v1"
        finally:
            process.kill()


def wait_until_healthy(process: subprocess.Popen[str], log: Path) -> str:
    """The server's URL, once it answers there.

    Raises:
        RuntimeError: it ended, or took longer than `START_SECONDS_MAX`; with the end of its log.
    """
    assert process.stdout is not None
    too_late = threading.Timer(START_SECONDS_MAX, process.kill)
    too_late.start()
    try:
        said = process.stdout.readline()
    finally:
        too_late.cancel()
    if not said.startswith("serving http"):
        process.kill()
        code = process.wait()
        raise RuntimeError(f"llama.cpp did not start (exit code {code}):\n{log.read_text(errors='replace')[-2_000:]}")
    url = said.split()[1]
    with urlopen(f"{url}/health", timeout=START_SECONDS_MAX) as answer:
        assert answer.status == 200, answer.read()
    return url

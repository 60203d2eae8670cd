"""`bursar completion` prints what a shell reads; asking for completions imports no command in vain."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.cli.conftest import Bursar


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_scripts(bursar: Bursar, shell: str) -> None:
    shown = bursar("completion", shell)
    assert shown.exit_code == 0
    assert f"_BURSAR_COMPLETE={shell}_complete" in shown.stdout


def test_other_shells_are_refused(bursar: Bursar) -> None:
    assert bursar("completion", "tcsh").exit_code == 2


@pytest.mark.parametrize(("words", "found"), [("bursar bud", "plain,budget"), ("bursar usage --js", "plain,--json")])
def test_words_are_completed(words: str, found: str) -> None:
    environment = {
        **os.environ,
        "_BURSAR_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    done = subprocess.run(
        [sys.executable, "-m", "bursar"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.split() == [found]

"""`bursar demo` as a newcomer runs it: in an empty folder, with no key and no network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

NOWHERE = "http://127.0.0.1:1"


def run(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder; temporary files go below it, so that what is left of them is seen."""
    temporary = folder.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "bursar", "demo", *arguments],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(temporary), "COLUMNS": "80", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    empty = tmp_path / "empty"
    empty.mkdir()
    return empty


def test_the_proof_as_one_object(folder: Path) -> None:
    ran = run(folder, "--json", "--calls", "120")
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = msgspec.json.decode(ran.stdout)
    assert found["calls"] == 120
    assert found["ok"] + found["refused"] + found["aborted"] + found["failed"] == 120
    assert min(found[name] for name in ("ok", "refused", "aborted", "failed")) > 0
    assert found["overspend_nano_usd"] == found["held_nano_usd"] == 0
    assert found["billed_nano_usd"] <= found["spent_nano_usd"] <= found["budget_nano_usd"] == 30_000_000
    assert 0 < found["uncertain_nano_usd"] < found["spent_nano_usd"]
    assert found["spent_nano_usd"] == sum(found["by_model"].values())
    assert found["books_equal_bill"] is True
    assert found["naive_billed_nano_usd"] > found["budget_nano_usd"]
    assert list(folder.iterdir()) == []
    assert list((folder.parent / "temporary").iterdir()) == []


def test_it_reads_well_in_eighty_columns_and_heeds_no_proxy(folder: Path) -> None:
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "OPENAI_BASE_URL"), NOWHERE)
    ran = run(folder, "--calls", "40", "--concurrency", "30", **proxies, BURSAR_CONFIG="nothing.yaml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr == ""
    assert " 0 ok" not in ran.stdout
    lines = ran.stdout.splitlines()
    assert [line for line in lines if len(line) > 80 and "bursar" not in line] == []
    for words in ("Spend by model", "above the budget", "equal to the bill", "Try next"):
        assert any(words in line for line in lines), words
    assert "\x1b" not in ran.stdout


def test_books_are_kept_where_they_are_asked_for_and_never_written_over(folder: Path) -> None:
    ran = run(folder, "--calls", "5", "--books", "kept.db", "--budget", "100")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "The counter kept this budget too" in ran.stdout, "a budget that is enough is said to be"
    before = (folder / "kept.db").read_bytes()
    again = run(folder, "--calls", "5", "--books", "kept.db", "--json")
    assert again.returncode == 2
    assert msgspec.json.decode(again.stdout)["error"]["code"] == "books_exist"
    assert (folder / "kept.db").read_bytes() == before

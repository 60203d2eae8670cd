"""Programs that share books: what one is given as arguments neither removes nor survives what another was given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bursar

HOLD = """
import sys, bursar
llm = bursar.Client(budget_usd=1, books=sys.argv[1], api_keys={"openai": "sk-x"})
print("open", flush=True)
sys.stdin.readline()
"""
KEYS = {"openai": "sk-x"}


def limits(books: Path) -> dict[str, int]:
    with bursar.Client(books=books, api_keys=KEYS) as llm:
        return {balance.allowance: balance.limit for balance in llm.budgets()}


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "b.db")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def test_a_program_without_a_budget_leaves_that_of_a_running_program(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    assert limits(tmp_path / "b.db") == {"client": 10**9}
    holder.communicate("")
    assert limits(tmp_path / "b.db") == {}, "what a program was given as arguments ends with it"


def test_a_running_programs_budget_cannot_be_given_differently(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(bursar.ConfigError, match=r"\$2\.00 per day .* arguments of a program, and as \$1\.00 per day"):
        bursar.Client(budget_usd=2, books=tmp_path / "b.db", api_keys=KEYS)
    holder.communicate("")
    with bursar.Client(budget_usd=2, books=tmp_path / "b.db", api_keys=KEYS) as llm:
        assert [balance.limit for balance in llm.budgets()] == [2 * 10**9]


def test_clients_of_one_process_share_the_later_budget_until_the_last_of_them_is_closed(tmp_path: Path) -> None:
    books = tmp_path / "b.db"
    first = bursar.Client(budget_usd=1, books=books, api_keys=KEYS)
    second = bursar.Client(budget_usd=2, books=books, api_keys=KEYS)
    assert [balance.limit for balance in first.budgets()] == [2 * 10**9]
    second.close()
    assert limits(books) == {"client": 2 * 10**9}
    first.close()


def test_a_file_and_an_argument_are_two_sources(tmp_path: Path) -> None:
    file = tmp_path / "bursar.yaml"
    file.write_text("budgets: {company: {usd: 9, per: month}}\nbooks: sqlite:///b.db\n")
    first = bursar.Client(file, budget_usd=1, api_keys=KEYS)
    with bursar.Client(file, api_keys=KEYS) as llm:
        assert {balance.allowance for balance in llm.budgets()} == {"client", "company"}
    first.close()

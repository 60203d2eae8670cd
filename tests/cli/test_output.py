"""Tables that fit, numbers that line up, texts that steer no terminal."""

from __future__ import annotations

import pytest

from bursar.cli.output import Column, dollars, draw, for_terminal, iso, plain

ROWS = [["openrouter/anthropic/claude-sonnet-4.5-with-a-long-name", "1,234,567", "$12.345678901"]] * 2
COLUMNS = [Column("model"), Column("tokens", number=True), Column("cost", number=True)]


def test_a_table_folds_names_and_never_numbers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    draw(COLUMNS, ROWS, footer=["total", "2", "$1"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert sum("$12.345678901" in line for line in lines) == 2
    assert lines[-1].split() == ["total", "2", "$1"]


def test_a_table_that_cannot_fit_is_too_wide_and_never_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    draw([*COLUMNS, Column("day", whole=True)], [[*row, "2026-11-22"] for row in ROWS])
    out = capsys.readouterr().out
    assert all(out.count(cell) == 2 for cell in ("1,234,567", "$12.345678901", "2026-11-22"))


def test_a_table_in_a_pipe_is_not_folded(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    draw(COLUMNS, [[name * 3, *rest] for name, *rest in ROWS])
    assert ROWS[0][0] * 3 in capsys.readouterr().out


def test_markup_and_control_characters_are_only_text(capsys: pytest.CaptureFixture[str]) -> None:
    draw([Column("name")], [["[bold]x[/bold]\x1b[2J\nsecond :smile:"]])
    assert "[bold]x[/bold][2J" in (out := capsys.readouterr().out)
    assert ":smile:" in out
    assert "\x1b" not in out


def test_what_a_model_writes_steers_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert for_terminal("a\x1b[2J") == "a\x1b[2J"  # a file gets the bytes as they are
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert for_terminal("a\x1b[2J\x9b1m\r\n\tb") == "a[2J1m\n\tb"


def test_amounts_line_up_and_the_unknown_is_no_amount() -> None:
    assert dollars([]) == []
    assert dollars([1, None, 10**9]) == ["$0.000000001", "unknown", "$1.000000000"]


def test_plain_is_one_line() -> None:
    assert plain(" a\n\x07b\t c ") == "a b c"


def test_moments_for_machines() -> None:
    assert (iso(0), iso(None)) == ("1970-01-01T00:00:00Z", None)

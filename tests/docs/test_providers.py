"""docs/providers.md says what the rows say."""

from __future__ import annotations

import pytest

from bursar.catalog.providers import COLUMNS, DIALECTS, known_rows
from bursar.config.preferences import KNOWN
from docs.rows import DOCUMENT, SPOKEN, renewed


def test_the_tables_are_those_of_the_rows() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert text == renewed(text), "behind: python -m docs.rows writes them anew"
    assert all(text.count(f"| `{name}` |") == 2 for name in known_rows())


def test_a_table_without_its_place_is_found() -> None:
    with pytest.raises(ValueError, match="substring not found"):
        renewed("no place for tables")


def test_every_dialect_has_a_name_that_the_text_explains() -> None:
    assert tuple(SPOKEN) == DIALECTS
    prose = DOCUMENT.read_text("utf-8").lower()
    assert [name for name in SPOKEN.values() if f"*{name}*" not in prose] == []


def test_every_preference_and_every_column_that_can_be_changed_is_named() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert [name for name in (*KNOWN, *COLUMNS) if f"`{name}`" not in text and f"{name}:" not in text] == []


def test_what_is_outside_the_meter_is_said() -> None:
    opening = " ".join(DOCUMENT.read_text("utf-8").partition("<!--")[0].split())
    assert "Taxes, credits and the fees that are taken when an account is topped up are outside the meter" in opening
    assert "`discount: 12.5%`" in opening

"""docs/configuration.md says what the table of keys says."""

from __future__ import annotations

import pytest

from bursar.config import keys
from bursar.config.starter import init_text
from docs.keys import DOCUMENT, IDLE, SECTIONS, acts, renewed


def test_the_tables_are_those_of_the_keys() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert text == renewed(text), "behind: python -m docs.keys writes them anew"


def test_every_table_of_keys_is_shown() -> None:
    tables = {name for name in dir(keys) if name.endswith("_KEYS")}
    assert tables == {f"{section.upper()}_KEYS" for section in (*SECTIONS, "alert")} - {"ALERTS_KEYS"}


def test_a_section_without_its_place_is_found() -> None:
    with pytest.raises(ValueError, match="substring not found"):
        renewed("no place for tables")


def test_keys_that_do_nothing_are_told_apart() -> None:
    by_name = {key.name: key for key in (*keys.PROVIDER_KEYS, *keys.RETENTION_KEYS)}
    assert acts(by_name["prompts"]) == "nothing yet"
    assert acts(by_name["daily_cost_limit"]) == "`rules.allowances`"
    assert {*by_name, *(key.name for key in keys.RETENTION_KEYS)} >= IDLE


def test_every_section_of_the_file_is_told_of() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert [name for name in keys.ROOT_SECTIONS if f"`{name}`" not in text] == []


def test_the_starter_file_is_shown_as_it_is_written() -> None:
    assert init_text() in DOCUMENT.read_text("utf-8")

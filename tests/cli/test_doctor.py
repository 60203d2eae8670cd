"""`bursar doctor`: every illness is named with its cure, nothing is changed, and no key is shown."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from bursar.cli.doctor_machine import newest_price
from bursar.cli.opening import now_ms
from bursar.edges.stores.sqlite import SqliteStore
from tests.cli.conftest import Bursar
from tests.cli.ledger import HOUR_MS, books, call


def findings(bursar: Bursar, *arguments: str, code: int = 0) -> list[tuple[str, str, str]]:
    ended = bursar("doctor", "--offline", "--json", *arguments)
    assert ended.exit_code == code, ended.output
    shown = json.loads(ended.stdout)
    assert shown["healthy"] == (code == 0)
    return [(check["level"], check["check"], check["found"]) for check in shown["checks"]]


def found(rows: list[tuple[str, str, str]], level: str, check: str) -> str:
    return "; ".join(row[2] for row in rows if row[:2] == (level, check))


def test_an_empty_folder_is_healthy_and_stays_empty(bursar: Bursar, folder: Path) -> None:
    rows = findings(bursar)
    assert [row[1] for row in rows][:7] == ["python", "sqlite", "locks", "clock", "vocabularies", "prices", "proxies"]
    assert "no provider has a key" in found(rows, "warning", "keys")
    assert "the first call makes" in found(rows, "ok", "books")
    assert list(folder.iterdir()) == []


def test_it_reads_well_in_80_columns(bursar: Bursar, folder: Path) -> None:
    shown = bursar("doctor").stdout
    # A path stays whole, so that it can be copied.
    assert max(len(line) for line in shown.splitlines() if str(folder) not in line) <= 80
    assert shown.endswith("Nothing is broken, 1 warning.\n")
    assert "-> bursar config init" in shown


def test_no_key_is_ever_shown(bursar: Bursar, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    (folder / "key").write_text("gsk-very-secret\n")
    (folder / "bursar.yaml").write_text(
        "llm: {providers: {groq: {api_key: file:key}, openrouter: {api_key: {command: [false, very-secret]}}}}\n"
    )
    rows = findings(bursar)
    assert "${OPENAI_API_KEY}" in found(rows, "ok", "keys")
    assert "groq: from file:" in found(rows, "ok", "keys")
    assert "the command" in found(rows, "note", "keys")
    assert "very-secret" not in bursar("doctor", "--offline").output + bursar("doctor", "--offline", "--json").output


def test_keys_that_are_not_there(bursar: Bursar, folder: Path) -> None:
    (folder / "bursar.yaml").write_text(
        "llm: {providers: {openai: {api_key: '${NOT_SET}'}, groq: {api_key: file:none}, openrouter: {}}}\n"
    )
    said = found(findings(bursar, code=1), "error", "keys")
    assert "openai: ${NOT_SET} is not set" in said
    assert "groq: llm.providers.groq.api_key: the file" in said
    assert "openrouter has no key" in said


def test_each_of_several_keys_is_looked_for(bursar: Bursar, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST", "sk-first")
    (folder / "bursar.yaml").write_text(
        "llm: {providers: {openai: {keys: ['${FIRST}', '${SECOND}']}, groq: {keys: ['${THIRD}']}}}\n"
    )
    rows = findings(bursar, code=1)
    assert "openai: from ${FIRST}" in found(rows, "ok", "keys")
    assert "openai: ${SECOND} is not set" in found(rows, "warning", "keys")
    assert "groq: ${THIRD} is not set" in found(rows, "error", "keys")


def test_a_key_with_a_line_end_in_it(bursar: Bursar, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a b")
    assert "holds spaces" in found(findings(bursar, code=1), "error", "keys")


def test_a_bad_file_and_a_contradiction(bursar: Bursar, folder: Path) -> None:
    (folder / "bursar.yaml").write_text("mdoe: enforce\n")
    assert "did you mean mode?" in found(findings(bursar, code=1), "error", "configuration")
    (folder / "bursar.yaml").write_text("mode: observe\nbudgets: {all: {usd: 1, per: day, each: usr}}\n")
    rows = findings(bursar)
    assert "line 2: budgets.all.each" in found(rows, "warning", "configuration")
    assert "refuses nothing" in found(rows, "warning", "budgets")


def test_healthy_books(bursar: Bursar, folder: Path) -> None:
    store = books(folder / "bursar.db")
    call(store, "a")
    call(store, "b", settle=False)
    rows = findings(bursar)
    assert "1 row in the ledger, 0 budgets and limits, journal mode wal" in found(rows, "ok", "books")
    assert found(rows, "ok", "holds") == "$0.002 is held by 1 call in flight"
    assert found(rows, "ok", "integrity") == "quick check passed"
    store.close()


def test_orphaned_holds_are_seen_and_left_alone(bursar: Bursar, folder: Path) -> None:
    path = folder / "bursar.db"
    store = books(path)
    call(store, "a", settle=False)
    store.close()  # its holds become orphans
    for _ in range(2):
        assert "$0.002 is held by 1 call of processes that are gone" in found(findings(bursar), "note", "holds")


def test_a_clock_that_fell_back(bursar: Bursar, folder: Path) -> None:
    store = books(folder / "bursar.db")
    call(store, "a", at_ms=now_ms() + HOUR_MS)
    store.close()
    assert "yet to come" in found(findings(bursar, code=1), "error", "clock")


def test_what_is_no_books(bursar: Bursar, folder: Path) -> None:
    path = folder / "bursar.db"
    path.write_bytes(os.urandom(4096))
    assert "cannot be read" in found(findings(bursar, code=1), "error", "books")
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
    assert "something else than Bursar" in found(findings(bursar, code=1), "error", "books")


def test_books_of_a_newer_version(bursar: Bursar, folder: Path) -> None:
    SqliteStore(folder / "bursar.db").close()
    with closing(sqlite3.connect(folder / "bursar.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert "newer Bursar (version 99)" in found(findings(bursar, code=1), "error", "books")


def test_damaged_books(bursar: Bursar, folder: Path) -> None:
    path = folder / "bursar.db"
    store = books(path)
    for number in range(200):
        call(store, f"a{number}")
    store.close()
    content = bytearray(path.read_bytes())
    for page in range(6, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(content)
    levels = {row[0] for row in findings(bursar, code=1) if row[1] in ("integrity", "books", "contents")}
    assert "error" in levels


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_books_that_others_may_read(bursar: Bursar, folder: Path) -> None:
    SqliteStore(folder / "bursar.db").close()
    (folder / "bursar.db").chmod(0o644)
    assert "other users" in found(findings(bursar), "note", "books")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(bursar: Bursar, folder: Path) -> None:
    SqliteStore(folder / "bursar.db").close()
    folder.chmod(0o500)
    try:
        assert "read-only" in found(findings(bursar, code=1), "error", "books")
    finally:
        folder.chmod(0o700)


def test_proxies(bursar: Bursar, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://me:secret@proxy.example:3128")
    (folder / "bursar.yaml").write_text('llm: {providers: {local: {base_url: "http://localhost:1/v1"}}}\n')
    rows = findings(bursar)
    assert found(rows, "note", "proxies") == "http goes through http://proxy.example:3128"
    assert "calls to local on this machine go through" in found(rows, "warning", "proxies")
    assert "secret" not in bursar("doctor", "--offline").output
    monkeypatch.setenv("https_proxy", "socks5://proxy.example:1080")
    assert "socks5" in found(findings(bursar, code=1), "error", "proxies")


def test_the_age_of_the_price_list() -> None:
    today = datetime.now(UTC).date()
    newest = newest_price(today)
    assert newest is not None
    assert date(2026, 9, 1) < newest <= today
    before = newest_price(newest - timedelta(days=1))
    assert before is not None
    assert before < newest

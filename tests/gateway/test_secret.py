"""The secret under which keys are digested: where it comes from, and that nobody else reads it."""

from __future__ import annotations

import hashlib
import hmac
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bursar.errors import ConfigError
from bursar.gateway.secret import digest_of, secret_of

GIVEN = "thirty-two bytes, or a few more.."


def test_it_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    books = tmp_path / "folder" / "bursar.db"
    secret = secret_of(books, {})
    file = tmp_path / "folder" / "bursar.db.secret"
    assert len(secret) == 64
    assert file.stat().st_mode & 0o777 == 0o600
    assert [secret_of(str(books), {}), secret_of(books, {"BURSAR_SECRET": ""})] == [secret] * 2
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_of_processes_that_start_at_once_all_have_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(lambda _: secret_of(tmp_path / "b.db", {}), range(64)))) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_other_books_have_another_one(tmp_path: Path) -> None:
    assert secret_of(tmp_path / "a.db", {}) != secret_of(tmp_path / "b.db", {})
    assert secret_of("memory:", {}) != secret_of("memory:", {})
    assert not Path("memory:.secret").exists()


def test_the_variable_comes_before_the_file(tmp_path: Path) -> None:
    assert secret_of(tmp_path / "b.db", {"BURSAR_SECRET": GIVEN}) == GIVEN.encode()
    assert list(tmp_path.iterdir()) == []


def test_a_short_secret_is_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="BURSAR_SECRET has 6 bytes, and needs 32") as raised:
        secret_of(tmp_path / "b.db", {"BURSAR_SECRET": "hunter"})
    assert "hunter" not in str(raised.value)
    (tmp_path / "b.db.secret").write_bytes(b"short\n")
    (tmp_path / "b.db.secret").chmod(0o600)
    with pytest.raises(ConfigError, match="has 5 bytes"):
        secret_of(tmp_path / "b.db", {})


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's: who may read it was NOT tried")
def test_a_secret_that_everyone_can_read_is_refused(tmp_path: Path) -> None:
    secret_of(tmp_path / "b.db", {})
    (tmp_path / "b.db.secret").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        secret_of(tmp_path / "b.db", {})
    (tmp_path / "b.db.secret").chmod(0o640)
    assert secret_of(tmp_path / "b.db", {})


def test_a_digest_is_the_hmac_of_the_whole_key() -> None:
    expected = hmac.new(GIVEN.encode(), b"sk-bursar-x", hashlib.sha256).hexdigest()
    assert digest_of(GIVEN.encode(), "sk-bursar-x") == expected
    assert digest_of(GIVEN.encode(), "sk-bursar-y") != expected

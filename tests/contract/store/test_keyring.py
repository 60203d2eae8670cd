"""The keyring of every store: keys are put, found, altered one after another, and never mistaken for each other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from bursar.call.keyring import Keyring, NameTakenError
from bursar.errors import ConfigError
from bursar.rules.keys import CallerKey, Team
from tests.contract.store.material import NOON_MS, Books

HOSTILE = ["'", "' OR 1=1 --", '"; DROP TABLE keys; --', "%", "_", "\x00", "ключ", "a' UNION SELECT body FROM keys --"]


def key_of(name: str = "ci", **fields: Any) -> CallerKey:
    values: dict[str, Any] = {"id": f"key_{name}", "digests": ((f"digest of {name}", None),), "created_ms": NOON_MS}
    return CallerKey(**{"name": name, **values, **fields})


FULL = key_of(
    "full",
    digests=(("d1", None), ("d2", NOON_MS + 5)),
    expires_ms=NOON_MS + 10,
    revoked_ms=NOON_MS + 7,
    role="admin",
    user="ann",
    team="search",
    organisation="acme",
    models=("openai/*", "fast"),
    tags={"feature": 'say "hi"', "é": "ü"},
)


@pytest.fixture
def ring(books: Books) -> Keyring:
    found: Keyring = books.store.keyring
    return found


def test_there_are_no_keys_at_first(ring: Keyring) -> None:
    assert (ring.version(), ring.keys(), ring.teams(), ring.by_digest("x")) == (0, [], [], None)
    assert ring.alter("ci", lambda key: key) is None
    assert ring.version() == 0


def test_a_key_is_found_as_it_was_put_by_each_of_its_digests(ring: Keyring) -> None:
    ring.put(FULL)
    ring.put(key_of())
    assert ring.keys() == [key_of(), FULL]
    assert [ring.by_digest(digest) for digest in ("d1", "d2", "digest of ci", "d")] == [FULL, FULL, key_of(), None]


def test_every_change_raises_the_version_and_only_what_is_newer_is_read_again(ring: Keyring) -> None:
    seen = [ring.version()]
    changes: list[Callable[[], object]] = [
        lambda: ring.put(key_of("a")),
        lambda: ring.put(key_of("b")),
        lambda: ring.alter("a", lambda key: replace(key, role="view")),
        lambda: ring.put_team(Team("search", "", NOON_MS)),
        lambda: ring.remove_team("search"),
        lambda: ring.put(key_of("c")),
    ]
    for change in changes:
        change()
        seen.append(ring.version())
    assert seen == sorted(set(seen))
    assert [[key.name for key in ring.keys(since)] for since in seen] == [
        ["a", "b", "c"], ["a", "b", "c"], ["a", "c"], ["c"], ["c"], ["c"], [],
    ]  # fmt: skip


def test_a_digest_that_is_taken_away_finds_nothing(ring: Keyring) -> None:
    ring.put(FULL)
    ring.alter("full", lambda key: replace(key, digests=(("d3", None),)))
    assert [ring.by_digest(digest) is not None for digest in ("d1", "d2", "d3")] == [False, False, True]


def test_a_name_is_nobody_elses_even_of_a_key_that_was_revoked(ring: Keyring) -> None:
    ring.put(key_of(revoked_ms=NOON_MS))
    before = ring.version()
    with pytest.raises(NameTakenError, match="another key called 'ci'"):
        ring.put(key_of(id="key_other", digests=(("another", None),)))
    with pytest.raises(ConfigError, match="has this text already"):
        ring.put(key_of("other", digests=(("digest of ci", None),)))
    assert (ring.version(), ring.keys(), ring.by_digest("another")) == (before, [key_of(revoked_ms=NOON_MS)], None)


def test_what_fails_while_a_key_is_altered_changes_nothing(ring: Keyring) -> None:
    ring.put(key_of())

    def fail(key: CallerKey) -> CallerKey:
        raise ConfigError("no")

    with pytest.raises(ConfigError, match="no"):
        ring.alter("ci", fail)
    assert ring.keys(ring.version()) == []
    assert ring.by_digest("digest of ci") == key_of()


def test_of_changes_at_once_none_undoes_another(ring: Keyring) -> None:
    ring.put(key_of())
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(lambda at: ring.alter("ci", lambda key: replace(key, tags={**key.tags, str(at): "x"})), range(40))
        )
    (key,) = ring.keys()
    assert sorted(key.tags, key=int) == [str(at) for at in range(40)]


def test_of_two_who_put_a_name_at_once_one_has_it(ring: Keyring) -> None:
    def put(at: int) -> bool:
        try:
            ring.put(key_of(id=f"key_{at}", digests=((f"d{at}", None),)))
        except NameTakenError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(put, range(16))) == 1
    assert len(ring.keys()) == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_any_kind_are_only_values(ring: Keyring, text: str) -> None:
    ring.put(key_of("safe"))
    assert ring.by_digest(text) is None
    assert ring.alter(text, lambda key: key) is None
    assert ring.remove_team(text) is False
    hostile = key_of(text, digests=((text, None),), tags={text: text})
    ring.put(hostile)
    ring.put_team(Team(text, text, 1))
    assert ring.by_digest(text) == hostile
    assert ring.teams() == [Team(text, text, 1)]
    assert len(ring.keys()) == 2


def test_teams_are_kept_by_name(ring: Keyring) -> None:
    ring.put_team(Team("search", "acme", 1))
    ring.put_team(Team("ads", "", 2))
    ring.put_team(Team("search", "other", 1))
    assert ring.teams() == [Team("ads", "", 2), Team("search", "other", 1)]
    assert ring.remove_team("ads")
    assert not ring.remove_team("ads")
    assert [team.name for team in ring.teams()] == ["search"]

"""What is done with keys: made with what binds them, rotated, revoked for good, changed; and the admin key."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bursar.call.keyring import NameTakenError
from bursar.edges.stores.memory import MemoryStore
from bursar.edges.stores.sqlite import SqliteStore
from bursar.errors import ConfigError
from bursar.gateway.keys import Keysmith, Wanted, ensure_admin, has_admin
from bursar.gateway.quotas import Budget, Limit
from bursar.gateway.secret import digest_of
from bursar.gateway.teams import UnknownNameError, create_team, remove_team
from bursar.rules.allowances import Allowance
from bursar.rules.keys import CallerKey, looks_like
from bursar.testing import ManualClock

SECRET = b"a secret of the tests, thirty-two bytes"
GIVEN = "an admin key that nobody guesses, 32"


class Desk:
    """A keysmith on empty books."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.ring = store.keyring
        self.clock = ManualClock()
        self.smith = Keysmith(store, SECRET, self.clock)

    def create(self, name: str = "ci", **fields: Any) -> CallerKey:
        return self.smith.create(Wanted(name, **fields)).key

    def quotas(self) -> dict[str, Allowance]:
        return {allowance.name: allowance for allowance in self.store.allowances()}

    def ensure(self, **environ: str) -> str | None:
        return ensure_admin(self.ring, SECRET, environ, self.clock)

    def counts(self, text: str) -> bool:
        """Whether a text is that of an admin key that counts."""
        key = self.ring.by_digest(digest_of(SECRET, text))
        return key is not None and key.role == "admin" and key.revoked_ms is None


@pytest.fixture(params=["memory", "sqlite"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "books.db"))
    yield made
    made.store.close()


def test_a_key_is_made_with_what_binds_it(desk: Desk) -> None:
    create_team(desk.ring, "search", "acme", 0)
    wanted = Wanted(
        "ci",
        user="ann",
        team="search",
        models=("openai/*",),
        tags={"feature": "answers"},
        expires_ms=desk.clock() + 1,
        budget=Budget(5_000_000_000, "month"),
        limits=(Limit("requests", 600, "minute"), Limit("in_flight", 20, None)),
    )
    made = desk.smith.create(wanted)
    assert looks_like(made.text)
    assert made.key == desk.ring.by_digest(digest_of(SECRET, made.text))
    assert (made.key.organisation, made.key.role, made.key.created_ms) == ("acme", "call", desk.clock())
    quotas = desk.quotas()
    assert sorted(quotas) == ["key:ci", "key:ci:in_flight", "key:ci:requests"]
    assert {(one.only, one.source) for one in quotas.values()} == {((("key", "ci"),), "key:ci")}
    money, flight, requests = quotas["key:ci"], quotas["key:ci:in_flight"], quotas["key:ci:requests"]
    assert (money.meter, money.capacity, money.shape, money.period) == ("nano_usd", 5_000_000_000, "calendar", "month")
    assert (requests.meter, requests.capacity, requests.shape, requests.period) == ("requests", 600, "bucket", "minute")
    assert (flight.meter, flight.capacity, flight.shape) == ("in_flight", 20, "gauge")


def test_every_key_has_an_id_and_a_text_of_its_own(desk: Desk) -> None:
    made = [desk.smith.create(Wanted(f"k{at}")) for at in range(20)]
    assert len({one.text for one in made}) == len({one.key.id for one in made}) == 20


def test_a_name_is_taken_for_good_and_its_budget_stays_as_it_is(desk: Desk) -> None:
    desk.create(budget=Budget(5))
    desk.smith.revoke("ci")
    with pytest.raises(NameTakenError):
        desk.create(budget=Budget(10**12))
    assert desk.quotas()["key:ci"].capacity == 5


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "1 to 64 letters"),
        ({"name": "a" * 65}, "1 to 64 letters"),
        ({"name": "a b"}, "1 to 64 letters"),
        ({"name": "a:b"}, "1 to 64 letters"),
        ({"name": "ci\n"}, "1 to 64 letters"),
        ({"name": "admin"}, "BURSAR_ADMIN_KEY"),
        ({"name": "key_abc"}, "ids begin with key_"),
        ({"role": "root"}, "call, view or admin"),
        ({"user": "a\nb"}, "user must be 1 to 256 printable"),
        ({"user": "x" * 257}, "user must be"),
        ({"organisation": "\x1b[2J"}, "organisation must be"),
        ({"team": "serch"}, "there is no team 'serch'; did you mean search"),
        ({"team": "search", "organisation": "other"}, "belongs to 'acme'"),
        ({"models": ("",)}, "models are"),
        ({"models": tuple("abc" * 100)}, "models are"),
        ({"tags": {"user": "x"}}, "cannot be called 'user'"),
        ({"tags": {"provider_key": "x"}}, "cannot be called"),
        ({"tags": {"team": "x"}}, "cannot be called"),
        ({"tags": {"a b": "x"}}, "no name of a tag"),
        ({"tags": {"a": ""}}, "tag a must be"),
        ({"tags": {f"t{at}": "x" for at in range(17)}}, "at most 16"),
        ({"expires_ms": 1}, "expired already"),
        ({"limits": (Limit("requests", 5, "day"), Limit("requests", 9, "hour"))}, "two limits on requests"),
        ({"limits": (Limit("tokens", 10**17, "day"),)}, "beyond what can be counted"),
    ],
)
def test_what_no_key_can_be_is_refused_and_leaves_nothing(desk: Desk, fields: dict[str, Any], said: str) -> None:
    create_team(desk.ring, "search", "acme", 0)
    with pytest.raises(ConfigError, match=said):
        desk.create(**{"name": "ci", **fields})
    assert (desk.ring.keys(), desk.store.allowances()) == ([], [])


def test_keys_are_found_by_name_and_by_id(desk: Desk) -> None:
    key = desk.create("build")
    assert desk.smith.key("build") == desk.smith.key(key.id) == key
    with pytest.raises(UnknownNameError, match="there is no key 'biuld'; did you mean build"):
        desk.smith.key("biuld")


def test_those_that_count_are_listed_unless_all_are_asked_for(desk: Desk) -> None:
    create_team(desk.ring, "search", "", 0)
    desk.create("a", team="search")
    desk.create("b")
    desk.create("c", expires_ms=desk.clock() + 1_000)
    desk.smith.revoke("b")
    desk.clock.advance(1)
    assert desk.smith.keys() == [desk.smith.key("a")]
    assert [key.name for key in desk.smith.keys(all=True)] == ["a", "b", "c"]
    assert [key.name for key in desk.smith.keys(team="search", all=True)] == ["a"]


def test_an_older_text_never_counts_longer_than_it_was_told(desk: Desk) -> None:
    desk.create()
    desk.smith.rotate("ci", 100)
    desk.smith.rotate("ci", 1_000)
    now_ms = desk.clock()
    (key,) = desk.ring.keys()
    assert [until_ms for _, until_ms in key.digests] == [None, now_ms + 1_000_000, now_ms + 100_000]
    desk.clock.advance(500)
    desk.smith.rotate("ci", 0)
    (key,) = desk.ring.keys()
    assert [until_ms for _, until_ms in key.digests] == [None]


@pytest.mark.parametrize("seconds", [-1, 90 * 86_400 + 1])
def test_an_overlap_is_bounded(desk: Desk, seconds: int) -> None:
    desk.create()
    with pytest.raises(ConfigError, match="90 days"):
        desk.smith.rotate("ci", seconds)


def test_a_revoked_key_never_comes_back(desk: Desk) -> None:
    desk.create()
    revoked = desk.smith.revoke("ci")
    desk.clock.advance(60)
    assert desk.smith.revoke(revoked.id) == revoked, "the first moment stays"
    for undone in (lambda: desk.smith.rotate("ci"), lambda: desk.smith.change("ci", {"expires_ms": None})):
        with pytest.raises(ConfigError, match="was revoked: make another one"):
            undone()
    assert desk.ring.keys() == [revoked]


def test_an_expired_key_is_not_rotated_but_may_be_prolonged(desk: Desk) -> None:
    desk.create(expires_ms=desk.clock() + 1)
    desk.clock.advance(1)
    with pytest.raises(ConfigError, match="has expired"):
        desk.smith.rotate("ci")
    desk.smith.change("ci", {"tags": {"a": "b"}})
    desk.smith.change("ci", {"expires_ms": desk.clock() + 1_000})
    desk.smith.rotate("ci")


def test_a_change_touches_what_it_names_and_nothing_else(desk: Desk) -> None:
    limits = (Limit("requests", 5, "minute"), Limit("tokens", 9, "day"))
    before = desk.create(user="ann", models=("fast",), budget=Budget(5), limits=limits)
    after = desk.smith.change("ci", {"role": "view", "user": ""}, limits=(Limit("requests", 0, None),))
    assert (after.role, after.user, after.models, after.digests) == ("view", "", ("fast",), before.digests)
    assert sorted(desk.quotas()) == ["key:ci", "key:ci:tokens"]
    desk.smith.change("ci", {}, budget=Budget(7, "hour"))
    assert (desk.quotas()["key:ci"].capacity, desk.quotas()["key:ci"].period) == (7, "hour")
    desk.smith.change("ci", {}, no_budget=True)
    desk.smith.change("ci", {}, no_budget=True)
    assert sorted(desk.quotas()) == ["key:ci:tokens"]


@pytest.mark.parametrize(
    "fields", [{"name": "x"}, {"digests": ()}, {"id": "x"}, {"revoked_ms": None}, {"rolle": "view"}]
)
def test_what_makes_a_key_itself_cannot_be_changed(desk: Desk, fields: dict[str, Any]) -> None:
    key = desk.create()
    with pytest.raises(ConfigError, match="nothing called"):
        desk.smith.change("ci", fields)
    assert desk.ring.keys() == [key]


def test_who_moves_to_a_team_is_bound_by_its_organisation(desk: Desk) -> None:
    create_team(desk.ring, "search", "acme", 0)
    create_team(desk.ring, "free", "", 0)
    desk.create(organisation="other")
    assert desk.smith.change("ci", {"team": "search"}).organisation == "acme"
    assert desk.smith.change("ci", {"team": "free"}).organisation == "acme", "nothing binds it less than before"
    assert desk.smith.change("ci", {"team": ""}).organisation == "acme"
    assert desk.smith.change("ci", {"organisation": ""}).organisation == ""
    with pytest.raises(ConfigError, match="belongs to 'acme'"):
        desk.smith.change("ci", {"team": "search", "organisation": "other"})


def test_no_change_undoes_a_revocation_made_at_the_same_time(desk: Desk) -> None:
    for at in range(10):
        desk.create(f"k{at}")

    def do(at: int) -> None:
        if at % 2:
            desk.smith.revoke(f"k{at // 2}")
            return
        try:
            desk.smith.change(f"k{at // 2}", {"tags": {"at": "x"}})
        except ConfigError as error:
            assert "was revoked" in str(error)  # noqa: PT017 - either order is right

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(do, range(20)))
    assert [key.revoked_ms is not None for key in desk.smith.keys(all=True)] == [True] * 10


def test_in_books_that_only_observe_so_do_the_budgets_of_keys(desk: Desk) -> None:
    smith = Keysmith(desk.store, SECRET, desk.clock, mode="observe", time_zone="Europe/Berlin")
    smith.create(Wanted("ci", budget=Budget(5)))
    (allowance,) = desk.store.allowances()
    assert (allowance.mode, allowance.time_zone) == ("observe", "Europe/Berlin")


def test_the_first_start_makes_an_admin_key_and_the_second_none(desk: Desk) -> None:
    text = desk.ensure()
    assert text is not None
    assert looks_like(text)
    assert desk.counts(text)
    assert desk.ensure() is None
    assert has_admin(desk.ring, desk.clock())


def test_of_two_that_start_at_once_one_shows_the_admin_key(desk: Desk) -> None:
    with ThreadPoolExecutor(8) as pool:
        shown = [text for text in pool.map(lambda _: desk.ensure(), range(8)) if text]
    assert len(shown) == 1
    assert desk.counts(shown[0])


def test_an_admin_key_of_another_name_is_enough(desk: Desk) -> None:
    desk.create("boss", role="admin")
    assert desk.ensure() is None
    desk.smith.revoke("boss")
    assert desk.ensure() is None, "whoever revoked it may have meant it"
    assert not has_admin(desk.ring, desk.clock())


def test_the_variable_gives_the_admin_key_and_another_value_takes_its_place(desk: Desk) -> None:
    made = desk.ensure()
    assert made is not None
    assert desk.ensure(BURSAR_ADMIN_KEY=GIVEN) is None
    assert (desk.counts(made), desk.counts(GIVEN)) == (False, True)
    version = desk.ring.version()
    desk.ensure(BURSAR_ADMIN_KEY=GIVEN)
    assert desk.ring.version() == version, "nothing is written at each start"
    desk.ensure(BURSAR_ADMIN_KEY=GIVEN + "2")
    assert (desk.counts(GIVEN), desk.counts(GIVEN + "2")) == (False, True)
    assert len(desk.ring.keys()) == 1
    assert desk.ensure() is None
    assert desk.counts(GIVEN + "2")


def test_a_revoked_admin_key_comes_back_with_another_value_only(desk: Desk) -> None:
    desk.ensure(BURSAR_ADMIN_KEY=GIVEN)
    desk.smith.revoke("admin")
    desk.ensure(BURSAR_ADMIN_KEY=GIVEN)
    assert not has_admin(desk.ring, desk.clock())
    desk.ensure(BURSAR_ADMIN_KEY=GIVEN + "2")
    assert has_admin(desk.ring, desk.clock())


@pytest.mark.parametrize("value", ["admin", "x" * 31, "x" * 257, "é" * 40, "x" * 40 + "\n"])
def test_an_admin_key_that_could_be_guessed_is_refused_and_not_shown(desk: Desk, value: str) -> None:
    with pytest.raises(ConfigError, match="32 to 256 plain characters") as raised:
        desk.ensure(BURSAR_ADMIN_KEY=value)
    assert value not in str(raised.value)
    assert desk.ring.keys() == []


def test_the_key_of_a_caller_is_nobodys_admin_key(desk: Desk) -> None:
    text = desk.smith.create(Wanted("ci")).text
    with pytest.raises(ConfigError, match="is the key 'ci' already"):
        desk.ensure(BURSAR_ADMIN_KEY=text)
    assert not desk.counts(text)


def test_a_team_is_there_until_no_key_counts_in_it(desk: Desk) -> None:
    create_team(desk.ring, "search", "acme", 5)
    with pytest.raises(ConfigError, match="there is a team 'search' already"):
        create_team(desk.ring, "search", "", 6)
    with pytest.raises(ConfigError, match="1 to 64 letters"):
        create_team(desk.ring, "a b", "", 6)
    desk.create(team="search")
    with pytest.raises(ConfigError, match="has keys that count"):
        remove_team(desk.ring, "search", desk.clock())
    desk.smith.revoke("ci")
    remove_team(desk.ring, "search", desk.clock())
    with pytest.raises(UnknownNameError):
        remove_team(desk.ring, "search", desk.clock())


def test_under_another_secret_no_key_is_made_that_the_gateway_would_not_know(desk: Desk) -> None:
    other = Keysmith(desk.store, b"another secret", desk.clock)
    desk.create("ci")
    desk.create("other")
    before = desk.ring.version()
    for tried in (lambda: other.create(Wanted("x")), lambda: other.rotate("ci")):
        with pytest.raises(ConfigError, match="made under another secret"):
            tried()
    assert desk.ring.version() == before
    other.rotate("ci", new_secret=True)
    other.create(Wanted("x"))
    other.revoke("other")


def test_where_no_key_counts_any_secret_will_do(desk: Desk) -> None:
    desk.create("ci")
    desk.smith.revoke("ci")
    Keysmith(desk.store, b"another secret", desk.clock).create(Wanted("x"))


def test_a_start_under_another_secret_warns(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.ensure()
    assert not caplog.records
    assert ensure_admin(desk.ring, b"another secret", {}, desk.clock) is None
    assert "none of them counts" in caplog.text
    caplog.clear()
    ensure_admin(desk.ring, b"another secret", {"BURSAR_ADMIN_KEY": GIVEN}, desk.clock)
    caplog.clear()
    ensure_admin(desk.ring, b"another secret", {"BURSAR_ADMIN_KEY": GIVEN}, desk.clock)
    assert not caplog.records

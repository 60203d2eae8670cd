"""Budgets and limits of keys, teams, users and organisations: how they are written, named and shown."""

from __future__ import annotations

import pytest

from bursar.edges.stores.memory import MemoryStore
from bursar.errors import ConfigError
from bursar.gateway.key_record import quotas_shown, record_of
from bursar.gateway.quotas import HOLDERS, Budget, Holder, Limit, Quotas, limit_of, quota_name, quotas_of
from bursar.rules.keys import CallerKey
from bursar.testing import ManualClock


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def quotas(store: MemoryStore) -> Quotas:
    return Quotas(store, ManualClock())


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("requests=600/minute", Limit("requests", 600, "minute")),
        (" tokens=1_000_000/day ", Limit("tokens", 1_000_000, "day")),
        ("output_tokens=5/second", Limit("output_tokens", 5, "second")),
        ("in_flight=20", Limit("in_flight", 20, None)),
        ("requests=0", Limit("requests", 0, None)),
    ],
)
def test_a_limit_is_read(text: str, limit: Limit) -> None:
    assert limit_of(text) == limit


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a limit"),
        ("requests", "expected a limit"),
        ("requests=-5/minute", "expected a limit"),
        ("requests=5.5/minute", "expected a limit"),
        ("requests=٥/minute", "expected a limit"),
        ("reqests=5/minute", "did you mean requests"),
        ("nano_usd=5/day", "nothing to limit called"),
        ("requests=5", "per second, minute, hour or day"),
        ("requests=5/month", "per second, minute, hour or day"),
        ("in_flight=5/minute", "no period"),
    ],
)
def test_what_is_no_limit_says_what_one_is(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        limit_of(text)


@pytest.mark.parametrize(("nano_usd", "per"), [(-1, "day"), (5, "minute"), (5, "year")])
def test_what_is_no_budget_is_refused(nano_usd: int, per: str) -> None:
    with pytest.raises(ConfigError):
        Budget(nano_usd, per)  # type: ignore[arg-type]


@pytest.mark.parametrize("holder", HOLDERS)
def test_every_holder_has_a_budget_and_limits_by_its_name(quotas: Quotas, store: MemoryStore, holder: Holder) -> None:
    made = quotas.set(holder, "a b", Budget(5), (Limit("requests", 6, "minute"),))
    assert [one.name for one in made] == [f"{holder}:a b", f"{holder}:a b:requests"]
    assert {one.only for one in made} == {((holder, "a b"),)}
    assert quotas_of(store, holder, "a b") == made
    assert quotas_of(store, holder, "a") == []
    assert quotas.remove_budget(holder, "a b")
    assert not quotas.remove_budget(holder, "a b")
    assert [one.name for one in store.allowances()] == [quota_name(holder, "a b", "requests")]


def test_of_quotas_that_cannot_be_counted_none_is_entered(quotas: Quotas, store: MemoryStore) -> None:
    with pytest.raises(ConfigError, match="beyond what can be counted"):
        quotas.set("key", "ci", Budget(5), (Limit("requests", 10**17, "day"),))
    assert store.allowances() == []


def test_they_are_shown_as_they_are_written(quotas: Quotas) -> None:
    limits = (Limit("requests", 600, "minute"), Limit("in_flight", 20, None))
    made = quotas.set("key", "ci", Budget(5_250_000_000, "month"), limits)
    quotas.set("key", "ci2", Budget(1))
    shown = quotas_shown("key:ci", made)
    assert shown == {"budget": {"usd": "5.25", "per": "month"}, "limits": {"requests": "600/minute", "in_flight": "20"}}
    assert [limit_of(f"{meter}={text}") for meter, text in shown["limits"].items()] == list(limits)
    assert quotas_shown("key:ci3", made) == {"budget": None, "limits": {}}


@pytest.mark.parametrize(
    ("fields", "state", "until"),
    [
        ({}, "active", None),
        ({"expires_ms": 900}, "expired", None),
        ({"revoked_ms": 900}, "revoked", None),
        ({"digests": (("b", None), ("secret", 2_000), ("older", 1_500))}, "active", "1970-01-01T00:00:02Z"),
        ({"digests": (("b", None), ("secret", 1_000))}, "active", None),
    ],
)
def test_a_record_says_how_a_key_stands_and_has_no_digest(
    fields: dict[str, int], state: str, until: str | None
) -> None:
    key = CallerKey(**{"name": "ci", "id": "key_a", "digests": (("secret", None),), "created_ms": 0, **fields})  # type: ignore[arg-type]
    record = record_of(key, 1_000)
    assert (record["state"], record["rotated_until"]) == (state, until)
    assert "secret" not in str(record)

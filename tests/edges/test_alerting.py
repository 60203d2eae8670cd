"""Alerts: each share once a window by all processes together, and nothing that costs a call its time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from bursar.call.alerts import AlertClaim
from bursar.call.books import Balance
from bursar.call.events import AlertRaised, BreakerChanged, BudgetOverdrawn, CallEnded, CallRefused, Event
from bursar.edges import alerting
from bursar.edges.alerting import LEARN_MS, SESSION, Alerting
from bursar.edges.stores.memory import MemoryStore
from bursar.errors import BudgetExceededError, StoreUnavailableError
from bursar.rules.alerts import DEFAULT_AT
from bursar.rules.allowances import Allowance
from tests.contract.store.material import DAY_MS, NOON_MS, Clock
from tests.telemetry.facts import fact_of

USD = 10**9
MIDNIGHT_MS = NOON_MS + DAY_MS // 2


def budget(name: str = "all", **fields: Any) -> Allowance:
    return Allowance(name, "nano_usd", USD, "calendar", "day", **fields)


def balance(percent: int, name: str = "all", subject: str = "", **fields: Any) -> Balance:
    """A budget of a dollar of which so much is spent."""
    values = {"limit": USD, "resets_at_ms": MIDNIGHT_MS, **fields}
    return Balance(name, subject, "nano_usd", "day", values["limit"] * percent // 100, 0, **values)


def ended(*balances: Balance, **fields: Any) -> CallEnded:
    return CallEnded(fact_of(**fields), True, balances)


def refusal(**fields: Any) -> CallRefused:
    values: dict[str, Any] = {
        "budget": "all", "window": "day", "needed_nano_usd": USD // 5, "left_nano_usd": USD // 10,
        "spent_nano_usd": USD * 9 // 10, "held_nano_usd": 0, "limit_nano_usd": USD, "resets_at_ms": MIDNIGHT_MS,
        **fields,
    }  # fmt: skip
    return CallRefused("call", "openai", "gpt-4o", BudgetExceededError("no", **values), 0)


class Office:
    """Any number of processes over the same books, and what they tell."""

    def __init__(self, *budgets: Allowance, default_at: Sequence[int] = DEFAULT_AT, store: Any = None) -> None:
        self.store = store or MemoryStore()
        self.clock = Clock()
        self.default_at = default_at
        self.told: list[AlertRaised] = []
        self.delivered: list[AlertRaised] = []
        self.store.define(list(budgets or [budget()]), "bursar.yaml", self.clock)

    def open(self) -> Alerting:
        return Alerting(
            self.store, self.clock, self.raised, deliver=self.delivered.append, default_at=self.default_at,
            retry_seconds=0.001,
        )  # fmt: skip

    def raised(self, event: Event) -> None:
        assert isinstance(event, AlertRaised)
        self.told.append(event)

    def see(self, *events: Event, process: Alerting | None = None) -> list[AlertRaised]:
        """What one process, a new one unless given, tells of these events."""
        before, watching = len(self.told), process or self.open()
        for event in events:
            watching(event)
        rest(watching)
        return self.told[before:]

    def shares(self, *events: Event, process: Alerting | None = None) -> list[tuple[str, int]]:
        return [(alert.name, alert.percent) for alert in self.see(*events, process=process)]


def rest(watching: Alerting) -> None:
    """Wait until the thread has nothing left to do."""
    thread = watching._thread
    if thread is not None:
        thread.join(20)
        assert not thread.is_alive()


def test_each_share_is_told_once_a_window() -> None:
    office = Office()
    process = office.open()
    spent = [10, 49, 50, 60, 79, 80, 94, 95, 99, 100, 100]
    seen = [office.shares(ended(balance(percent)), process=process) for percent in spent]
    told = [[("all", 50)], [("all", 80)], [("all", 95)], [("all", 100)]]
    assert seen == [[], [], told[0], [], [], told[1], [], told[2], [], told[3], []]
    assert office.delivered == office.told


def test_one_call_may_pass_several() -> None:
    assert Office().shares(ended(balance(96))) == [("all", 50), ("all", 80), ("all", 95)]


def test_of_all_processes_one_tells() -> None:
    office = Office()
    processes = [office.open() for _ in range(3)]
    for percent in (50, 80):
        for process in processes:
            office.see(ended(balance(percent)), process=process)
    assert [alert.percent for alert in office.told] == [50, 80]


def test_a_process_that_starts_again_tells_nothing_again() -> None:
    office = Office()
    assert office.shares(ended(balance(81))) == [("all", 50), ("all", 80)]
    assert office.shares(ended(balance(82))) == []


def test_the_next_window_begins_anew() -> None:
    office = Office()
    process = office.open()
    assert len(office.shares(ended(balance(100)), process=process)) == 4
    office.clock.pass_ms(DAY_MS)
    tomorrow = MIDNIGHT_MS + DAY_MS
    assert office.shares(ended(balance(10, resets_at_ms=tomorrow)), process=process) == []
    assert office.shares(ended(balance(50, resets_at_ms=tomorrow)), process=process) == [("all", 50)]


def test_a_window_that_has_ended_is_nothing_to_tell_of() -> None:
    assert Office().shares(ended(balance(100, resets_at_ms=NOON_MS))) == []


def test_a_total_is_told_once_for_ever() -> None:
    office = Office()
    assert office.shares(ended(balance(50, resets_at_ms=None))) == [("all", 50)]
    office.clock.pass_ms(4_000 * DAY_MS)
    assert office.shares(ended(balance(50, resets_at_ms=None))) == []


def test_a_budget_that_is_raised_begins_anew_and_one_that_is_lowered_is_looked_at() -> None:
    office = Office()
    process = office.open()
    assert office.shares(ended(balance(80)), process=process) == [("all", 50), ("all", 80)]
    assert office.shares(ended(balance(40, limit=2 * USD)), process=process) == []
    assert office.shares(ended(balance(80, limit=2 * USD)), process=process) == [("all", 50), ("all", 80)]
    lowered = balance(100, limit=USD)._replace(spent=2 * USD * 8 // 10)
    assert office.shares(ended(lowered), process=process) == [("all", 95), ("all", 100)]


def test_every_subject_has_alerts_of_its_own() -> None:
    office = Office(budget("users", each="user"))
    alerts = office.see(ended(balance(50, "users", "ann")), ended(balance(50, "users", "bob")))
    assert [(alert.subject, alert.percent) for alert in alerts] == [("ann", 50), ("bob", 50)]
    assert "'users' (ann, day)" in alerts[0].message


def test_a_budget_says_its_own_shares_and_others_have_the_default() -> None:
    office = Office(budget("own", alert_at=(10, 70)), budget("other"))
    assert office.shares(ended(balance(75, "own"), balance(75, "other"))) == [("own", 10), ("own", 70), ("other", 50)]


def test_without_a_default_only_those_that_say_shares_alert() -> None:
    office = Office(budget("own", alert_at=(70,)), budget("other"), default_at=())
    process = office.open()
    assert office.shares(ended(balance(100, "own"), balance(100, "other")), process=process) == [("own", 70)]
    process.default_at = (90,)
    assert office.shares(ended(balance(100, "other")), process=process) == [("other", 90)]


def test_sessions_of_a_program_alert_only_where_they_say_so() -> None:
    office = Office(budget("session:a", source=SESSION), budget("session:b", source=SESSION, alert_at=(80,)))
    assert office.shares(ended(balance(100, "session:a"), balance(100, "session:b"))) == [("session:b", 80)]


def test_a_budget_that_was_made_meanwhile_is_learned_of() -> None:
    office = Office()
    process = office.open()
    office.store.put_allowance(budget("new", source="people"), office.clock)
    assert office.shares(ended(balance(50, "new")), process=process) == [("new", 50)]


def test_shares_that_were_changed_meanwhile_are_learned_of_in_time() -> None:
    office = Office(budget(alert_at=(90,)))
    process = office.open()
    assert office.shares(ended(balance(50), ended_ms=NOON_MS), process=process) == []
    office.store.define([budget(alert_at=(40,))], "bursar.yaml", office.clock)
    office.clock.pass_ms(LEARN_MS)
    office.see(ended(balance(50), ended_ms=office.clock()), process=process)
    assert office.shares(ended(balance(50), ended_ms=office.clock()), process=process) == [("all", 40)]


def test_a_refused_call_is_the_end_of_a_budget_too_and_told_once() -> None:
    office = Office()
    process = office.open()
    (alert,) = office.see(refusal(), refusal(), process=process)
    assert (alert.name, alert.percent, alert.refused, alert.severity) == ("all", 100, True, "critical")
    assert alert.message.startswith("Budget 'all' (day) refuses calls: one needed up to $0.20; $0.10 left of $1.00")
    assert office.see(ended(balance(100)), process=process)[-1].percent == 95, "100 % was told already"
    assert office.see(refusal()) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"held": True},
        {"needed_nano_usd": 2 * USD},
        {"needed_nano_usd": USD // 10},
        {"window": "call"},
        {"budget": "quiet"},
    ],
    ids=["held by others", "larger than the whole", "behind others", "a cap on one call", "not told of at 100 %"],
)
def test_other_refusals_are_no_end_of_a_budget(fields: dict[str, Any]) -> None:
    office = Office(budget(), budget("quiet", alert_at=(50,)))
    assert office.see(refusal(**fields)) == []


def test_a_breaker_alerts_when_it_opens_and_not_with_every_probe() -> None:
    office = Office()
    process = office.open()

    def to(state: Any) -> BreakerChanged:
        return BreakerChanged("openai", "gpt-4o", state, MIDNIGHT_MS, NOON_MS, "5 failures in a row", 1)

    (alert,) = office.see(to("open"), to("half_open"), to("open"), process=process)
    assert (alert.kind, alert.name) == ("breaker_opened", "openai/gpt-4o")
    assert "5 failures in a row" in alert.message
    assert office.see(to("open")) == [], "another process met the same failure"
    assert office.see(to("closed"), to("open"), process=process) == [], "too soon to be news"
    office.clock.pass_ms(DAY_MS)
    assert office.see(to("half_open"), to("open"), process=process) == [], "it never closed"
    assert len(office.see(to("closed"), to("open"), process=process)) == 1


def test_a_provider_that_bills_beyond_the_bound_is_told_of() -> None:
    office = Office()
    beyond = ended(charged_nano_usd=90_001, bound_nano_usd=90_000)
    (alert,) = office.see(beyond, beyond)
    assert (alert.kind, alert.name, alert.call_id) == ("billed_beyond_bound", "openai/gpt-4o", "call")
    assert "$0.000090001" in alert.message


@pytest.mark.parametrize(("charged", "bound"), [(90_000, 90_000), (5, 0), (0, 0)])
def test_a_bill_within_the_bound_and_one_without_any_are_not(charged: int, bound: int) -> None:
    assert Office().see(ended(charged_nano_usd=charged, bound_nano_usd=bound)) == []


def test_budgets_above_their_limit_are_told_of_each() -> None:
    alerts = Office().see(BudgetOverdrawn("call", ("all", "teams")), BudgetOverdrawn("call", ("all",)))
    assert [(alert.kind, alert.name) for alert in alerts] == [
        ("budget_overdrawn", "all"),
        ("budget_overdrawn", "teams"),
    ]


class Failing(MemoryStore):
    """Books whose claims fail so often."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures
        self.real = self.alerts
        self.alerts: Any = self

    def claim(self, wanted: AlertClaim, clock: Callable[[], int]) -> bool:
        self.failures -= 1
        if self.failures >= 0:
            raise StoreUnavailableError("disk full")
        return self.real.claim(wanted, clock)


def test_books_that_fail_for_a_while_lose_no_alert() -> None:
    assert Office(store=Failing(3)).shares(ended(balance(50))) == [("all", 50)]


def test_books_that_fail_for_good_hold_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerting, "TRIES_MAX", 3)
    office = Office(store=Failing(3))
    process = office.open()
    assert office.shares(ended(balance(50)), ended(balance(80)), process=process) == [("all", 50), ("all", 80)]


def test_an_observer_that_fails_does_not_end_the_alerts(caplog: pytest.LogCaptureFixture) -> None:
    office = Office()
    process = Alerting(office.store, office.clock, lambda event: 1 / 0, default_at=(50,))  # type: ignore[arg-type, return-value]
    office.see(ended(balance(50)), process=process)
    assert "an alert could not be told" in caplog.text


def test_closing_tells_what_there_is_and_then_no_more() -> None:
    office = Office()
    process = office.open()
    process(ended(balance(50)))
    process.close()
    process.close()
    process(ended(balance(80)))
    rest(process)
    assert [alert.percent for alert in office.told] == [50]


def test_a_call_that_passes_nothing_starts_nothing() -> None:
    office = Office()
    process = office.open()
    for percent in range(50):
        process(ended(balance(percent), balance(percent, "all", "x")))
    assert process._thread is None
    assert not [thread for thread in threading.enumerate() if thread.name == alerting.THREAD]


def test_refusal_after_refusal_starts_nothing() -> None:
    process = Office().open()
    process(refusal())
    rest(process)
    for _ in range(50):
        process(refusal())
        assert process._thread is None


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerting, "KNOWN_MAX", 5)
    office = Office(budget("users", each="user"), budget())
    process = office.open()
    for number in range(40):
        process(ended(balance(1, "users", f"user {number}")))
        process(refusal(resets_at_ms=MIDNIGHT_MS, budget=f"b{number}"))
    rest(process)
    assert len(process._watch.known) <= 5
    assert len(process._refused) <= 5


def test_a_child_of_a_fork_tells_nothing() -> None:
    office = Office()
    process = office.open()
    process._pid = os.getpid() + 1
    assert office.see(ended(balance(100)), process=process) == []
    process.close()

"""Defining, changing and removing allowances, in every store: nothing that was spent or held is ever lost by it."""

from __future__ import annotations

import pytest

from bursar.call.books import Adjust, Granted, Void
from bursar.errors import ConfigError
from bursar.rules.allowances import Allowance
from bursar.rules.usage import Usage
from tests.contract.store.material import DAY_MS, HOUR_MS, SCOPES, Books, budget, fact

BOB = {**SCOPES, "user": "bob"}


@pytest.fixture
def used(books: Books) -> Books:
    """Books with money spent and held by two users, yesterday and today."""
    books.define(budget("day", 10_000))
    books.clock.pass_ms(-DAY_MS)
    books.reserve("old", 500)
    books.settle("old", 400)
    books.reserve("old-pending", 50)
    books.clock.pass_ms(DAY_MS)
    books.reserve("a", 100, tokens=(30, 20))
    books.settle("a", 70, usage=Usage.of(20, 10))
    books.reserve("b", 100, scopes=BOB)
    books.settle("b", 100, scopes=BOB, certain=False)
    books.reserve("c", 30)
    books.reserve("d", 40, scopes=BOB)
    return books


def test_a_renamed_budget_keeps_what_was_spent_and_held(used: Books) -> None:
    used.define(budget("daily", 10_000))
    assert used.balance("daily") == (170, 70)
    assert used.store.allowances() == [budget("daily", 10_000)]
    used.settle("c", 10)
    used.do(Void("d"))
    assert used.balance("daily") == (180, 0)
    used.do(Adjust(fact("b", 60), "provider"))
    assert used.balance("daily") == (140, 0)


def test_a_new_budget_starts_from_the_books(used: Books) -> None:
    used.define(
        budget("day", 10_000),
        budget("users", 1_000, each="user"),
        budget("all", 10_000, period="total"),
        budget("bobs", 1_000, only=(("user", "bob"),)),
        Allowance("tokens", "tokens", 10_000, "calendar", "day"),
        Allowance("flight", "in_flight", 9, "gauge"),
        Allowance("rate", "requests", 9, "bucket", "minute"),
        budget("rolling", 10_000, shape="rolling", period="day"),
    )
    assert used.balance("users", "ann") == (70, 30)
    assert used.balance("users", "bob") == (100, 40)
    assert used.balance("bobs") == (100, 40)
    assert used.balance("all") == (570, 120)
    assert used.balance("tokens") == (30, 0)
    assert used.balance("flight") == (0, 3)
    assert used.balance("rate") == (0, 0)
    assert used.balance("rolling") == (570, 120)
    used.settle("old-pending", 20)
    used.settle("d", 5)
    assert used.balance("all") == (595, 30)
    assert used.balance("flight") == (0, 1)
    assert used.balance("rate") == (0, 0)


def test_a_new_budget_binds_at_once(used: Books) -> None:
    used.define(budget("tight", 250))
    assert used.reserve("e", 11).left == 10
    assert isinstance(used.reserve("e", 10), Granted)


@pytest.mark.parametrize(
    ("changed", "standing"),
    [
        (budget("day", 10_000, period="total"), (570, 120)),
        (budget("day", 10_000, time_zone="Pacific/Kiritimati"), (170, 70)),
        (budget("day", 10_000, only=(("user", "bob"),)), (100, 40)),
        (Allowance("day", "requests", 10_000, "calendar", "day"), (2, 2)),
        (budget("day", 10_000, shape="rolling", period="hour"), (170, 70)),
        (budget("day", 99), (170, 70)),
        (budget("day", 10_000, mode="observe", alert_at=(50,)), (170, 70)),
    ],
)
def test_a_changed_budget_counts_the_same_calls(used: Books, changed: Allowance, standing: tuple[int, int]) -> None:
    used.define(changed)
    assert used.balance("day") == standing
    used.settle("c", 30)
    used.settle("d", 40)
    used.settle("old-pending", 20)
    assert used.balance("day")[1] == 0
    assert used.problems() == [] or changed.capacity == 99


def test_a_lowered_limit_refuses_and_raises_an_alarm(used: Books) -> None:
    used.define(budget("day", 99))
    assert used.reserve("e", 1).left == 99 - 170 - 70
    assert used.settle("c", 30).overdrawn == ("day",)


def test_a_removed_budget_comes_back_as_it_would_stand(used: Books) -> None:
    used.define()
    assert used.store.allowances() == []
    assert used.store.balances(used.clock.now_ms) == []
    used.settle("c", 25)
    used.reserve("e", 7)
    used.define(budget("day", 10_000))
    assert used.balance("day") == (195, 47)
    used.settle("e", 7)
    assert used.balance("day") == (202, 40)


def test_defining_the_same_again_changes_nothing(used: Books) -> None:
    used.define(budget("day", 10_000))
    assert used.balance("day") == (170, 70)


def test_sources_do_not_remove_each_others_budgets(books: Books) -> None:
    books.define(budget("one"), source="one.yaml")
    books.define(budget("two"), source="two.yaml")
    books.define(source="two.yaml")
    assert [each.name for each in books.store.allowances()] == ["one"]


def test_what_two_sources_define_alike_stays_while_one_does(books: Books) -> None:
    books.define(budget("day", source="one.yaml:3"), source="one.yaml")
    books.define(budget("day", source="two.yaml:9"), source="two.yaml")
    books.define(source="one.yaml")
    assert [each.name for each in books.store.allowances()] == ["day"]
    books.define(source="two.yaml")
    assert books.store.allowances() == []


def test_in_one_process_the_later_definition_wins(books: Books) -> None:
    books.define(budget("day", 10), source="one.yaml")
    books.define(budget("day", 20), source="two.yaml")
    assert books.store.allowances() == [budget("day", 20)]


def test_a_name_stands_once(books: Books) -> None:
    with pytest.raises(ConfigError, match="'day' is defined twice"):
        books.define(budget("day", 10), budget("day", 20))


def test_a_time_zone_must_exist(books: Books) -> None:
    with pytest.raises(ConfigError, match="no time zone 'Mars/Olympus'"):
        books.define(budget(time_zone="Mars/Olympus"))
    assert books.store.allowances() == []


@pytest.mark.parametrize("shape", ["calendar", "rolling"])
def test_what_lies_ahead_of_a_clock_that_went_back_is_not_lost(books: Books, shape: str) -> None:
    books.clock.pass_ms(DAY_MS)
    books.reserve("a", 100)
    books.settle("a", 70)
    books.clock.pass_ms(-DAY_MS)
    books.define(budget("day", 150, shape=shape))
    assert books.balance("day") == (0, 0)
    books.clock.pass_ms(DAY_MS)
    assert books.balance("day") == (70, 0)
    assert books.reserve("b", 100).left == 80


# The command line


def test_the_command_line_defines_and_removes(books: Books) -> None:
    books.store.put_allowance(budget("extra", 10), books.clock)
    books.define(budget("day"))
    assert [each.name for each in books.store.allowances()] == ["day", "extra"]
    books.store.put_allowance(budget("extra", 20), books.clock)
    assert books.store.allowances()[1].capacity == 20
    books.store.remove_allowance("extra", books.clock)
    assert [each.name for each in books.store.allowances()] == ["day"]
    with pytest.raises(ConfigError, match="no allowance 'extra'; there are: day"):
        books.store.remove_allowance("extra", books.clock)


def test_what_was_put_by_hand_says_by_whom(books: Books) -> None:
    books.store.put_allowance(budget("session:7", 10, source="session"), books.clock)
    books.store.put_allowance(budget("session:7", 30, source="session"), books.clock)
    books.store.put_allowance(budget("extra", 10), books.clock)
    assert [(each.source, each.capacity) for each in books.store.allowances()] == [("cli", 10), ("session", 30)]


def test_what_a_file_defines_is_changed_there(books: Books) -> None:
    books.define(budget("day", 10), source="bursar.yaml")
    with pytest.raises(ConfigError, match=r"defined in bursar\.yaml: change it there"):
        books.store.put_allowance(budget("day", 20), books.clock)
    assert books.store.allowances() == [budget("day", 10)]


def test_a_top_up_is_for_the_current_window(books: Books) -> None:
    books.define(budget("day", 100), budget("users", 100, each="user"))
    assert books.store.top_up("day", 50, "", books.clock).left == 150
    assert books.store.top_up("users", 50, "ann", books.clock).limit == 150
    assert isinstance(books.reserve("a", 150), Granted)
    books.define(budget("day", 60, time_zone="Europe/London"), budget("users", 100, each="user"))
    assert books.store.balances(books.clock.now_ms, names=["day"])[0].limit == 110
    books.clock.pass_ms(12 * HOUR_MS)
    assert books.store.balances(books.clock.now_ms, names=["day"])[0].limit == 60


def test_a_top_up_does_not_change_its_unit(books: Books) -> None:
    books.define(budget("day", 100))
    books.store.top_up("day", 50, "", books.clock)
    books.define(Allowance("day", "requests", 7, "calendar", "day"))
    assert books.store.balances(books.clock.now_ms)[0].limit == 7


def test_a_top_up_needs_a_window_and_credit_to_take_back(books: Books) -> None:
    books.define(budget("day", 100), Allowance("rate", "requests", 9, "bucket", "minute"))
    with pytest.raises(ConfigError, match="no calendar window"):
        books.store.top_up("rate", 1, "", books.clock)
    with pytest.raises(ConfigError, match="topped up by 0 only"):
        books.store.top_up("day", -1, "", books.clock)
    with pytest.raises(ConfigError, match="one for all"):
        books.store.top_up("day", 1, "ann", books.clock)
    with pytest.raises(ConfigError, match="no allowance 'dya'"):
        books.store.top_up("dya", 1, "", books.clock)

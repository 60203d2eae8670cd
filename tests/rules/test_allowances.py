"""The laws of claims: nothing passes a limit, a hold ends once and exactly, a denial tells the truth about its end."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.rules.allowances import (
    ELASTIC_SHARE,
    LEVEL_MAX,
    Allowance,
    Demand,
    Denial,
    Grant,
    Level,
    Meter,
    correct,
    decide,
    deny_missing,
    expire,
    settle,
    take,
    void,
)
from bursar.rules.windows import FOREVER_MS, PERIOD_MS, SUB_WINDOWS, calendar_window, rolling_window, sub_window_ms

NOW = 1_800_000_000_000
DAY_MS = PERIOD_MS["day"]
ONE = Demand(1_000, 0, 10, 10)  # a request of a nano-dollar


def budget(name: str = "day", capacity: int = 1_000, period: Any = "day", **more: Any) -> Allowance:
    return Allowance(name, "nano_usd", capacity, more.pop("shape", "calendar"), period, **more)


def day_level(allowance: Allowance | None = None, **more: Any) -> Level:
    window = calendar_window("day", ZoneInfo("UTC"), NOW)
    return Level(allowance or budget(), start_ms=window.start_ms, end_ms=window.end_ms, **more)


def demand(nano_usd: int, *, tokens: int = 0, output: int = 10) -> Demand:
    return Demand(nano_usd * 1_000, 0, output, output, rate_input_tokens=tokens)


# What is granted


@given(st.integers(0, 2_000), st.integers(0, 1_000), st.integers(0, 1_000), st.integers(0, 500))
def test_a_claim_is_granted_exactly_when_it_fits(amount: int, spent: int, held: int, credit: int) -> None:
    level = day_level(spent=spent, held=held, credit=credit)
    outcome = decide([level], demand(amount), NOW)
    assert isinstance(outcome, Grant) == (amount == 0 or spent + held + amount <= 1_000 + credit)
    assert (level.spent, level.held) == (spent, held), "deciding changes nothing"


AMOUNTS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=12)


@given(AMOUNTS)
def test_what_is_granted_never_passes_the_limit_of_any_level(claims: list[tuple[int, int]]) -> None:
    levels = [day_level(), day_level(budget("small", 700)), day_level(budget("each", 900, each="user"))]
    for most, actual in claims:
        outcome = decide(levels, demand(most), NOW)
        if isinstance(outcome, Denial):
            continue
        for level, amount in zip(levels, outcome.amounts, strict=True):
            take(level, amount, NOW)
            assert level.spent + level.held <= level.limit
            settle(level, amount, min(actual, amount), NOW)
            assert level.spent + level.held <= level.limit


def test_all_claims_are_granted_together_or_none_is() -> None:
    levels = [day_level(), day_level(budget("other", 10)), Level(Allowance("flight", "in_flight", 5, "gauge"))]
    outcome = decide(levels, demand(11), NOW)
    assert isinstance(outcome, Denial)
    assert outcome.allowance.name == "other"
    assert [level.held for level in levels] == [0, 0, 0]


def test_a_grant_says_what_each_level_is_to_hold() -> None:
    meters: list[Any] = ["nano_usd", "requests", "tokens", "input_tokens", "output_tokens"]
    levels = [Level(Allowance(meter, meter, 10**6, "calendar", "day")) for meter in meters]
    levels.append(Level(Allowance("flight", "in_flight", 5, "gauge")))
    wanted = Demand(3_000, 1_000, 20, 20, rate_input_tokens=7, rate_output_tokens=15)
    outcome = decide(levels, wanted, NOW)
    assert isinstance(outcome, Grant)
    assert outcome.amounts == (23, 1, 22, 7, 15, 1)
    assert outcome.nano_usd == 23
    assert outcome.output_tokens == 20


def test_the_estimated_output_is_no_more_than_what_money_leaves_of_it() -> None:
    levels = [day_level(budget(capacity=80)), Level(Allowance("out", "output_tokens", 10**6, "bucket", "minute"))]
    elastic = Demand(0, 1_000, 10, 500, rate_output_tokens=400)
    narrowed = decide(levels, elastic, NOW)
    assert isinstance(narrowed, Grant)
    assert (narrowed.output_tokens, narrowed.amounts[1]) == (20, 20)
    three_choices = Demand(0, 0, 100, 100, rate_output_tokens=300)
    fixed = decide(levels, three_choices, NOW)
    assert isinstance(fixed, Grant)
    assert (fixed.output_tokens, fixed.amounts[1]) == (100, 300), "the limit is that of each choice"


def test_nothing_fits_everywhere() -> None:
    """A call that costs nothing is not refused because a budget is overdrawn."""
    overdrawn = day_level(spent=1_200)
    assert isinstance(decide([overdrawn], demand(0), NOW), Grant)
    assert isinstance(decide([overdrawn], demand(1), NOW), Denial)


def test_what_was_topped_up_counts() -> None:
    level = day_level(spent=1_000, credit=50)
    assert isinstance(decide([level], demand(50), NOW), Grant)
    outcome = decide([level], demand(51), NOW)
    assert isinstance(outcome, Denial)
    assert (outcome.left, outcome.limit) == (50, 1_050)


# Elastic output


ELASTIC = Demand(100_000, 1_000, 16, 10_000)  # 100 nano-USD for the input, 1 a token


@given(st.integers(0, 40_000), st.integers(0, 40_000))
def test_an_elastic_output_takes_a_share_of_the_tightest_headroom_within_its_range(left: int, other: int) -> None:
    levels = [day_level(budget("a", left)), day_level(budget("b", other))]
    outcome = decide(levels, ELASTIC, NOW)
    tightest = min(left, other)
    if tightest < 116:
        assert isinstance(outcome, Denial)
        return
    assert isinstance(outcome, Grant)
    assert 16 <= outcome.output_tokens <= 10_000
    assert outcome.nano_usd == 100 + outcome.output_tokens
    assert outcome.output_tokens == min(max(tightest // ELASTIC_SHARE - 100, 16), 10_000)
    capped = outcome.output_tokens < 10_000
    if not capped:
        assert outcome.capped_by == ""
    elif max(left // 4, 100) != max(other // 4, 100):
        assert outcome.capped_by == ("a" if left < other else "b")


def test_an_elastic_output_below_its_minimum_is_refused_with_what_could_be_afforded() -> None:
    outcome = decide([day_level(budget(capacity=110))], ELASTIC, NOW)
    assert isinstance(outcome, Denial)
    assert outcome.needed == 116
    assert outcome.affordable_output_tokens == 10


def test_a_limit_of_the_callers_own_is_never_changed() -> None:
    fixed = ELASTIC._replace(output_tokens_min=900, output_tokens_max=900)
    granted = decide([day_level()], fixed, NOW)
    assert isinstance(granted, Grant)
    assert (granted.output_tokens, granted.capped_by) == (900, "")
    denied = decide([day_level(budget(capacity=999))], fixed, NOW)
    assert isinstance(denied, Denial)
    assert denied.affordable_output_tokens == 899


def test_only_enforced_money_narrows_an_elastic_output() -> None:
    observed = day_level(budget(capacity=200, mode="observe"))
    limit = Level(Allowance("tpm", "output_tokens", 10**6, "bucket", "minute"))
    outcome = decide([observed, limit], ELASTIC, NOW)
    assert isinstance(outcome, Grant)
    assert outcome.output_tokens == 10_000
    assert outcome.would_refuse == ("day",)


RESERVED = Demand(0, 1_000, 10, 500, rate_input_tokens=20, rate_output_tokens=40, reserves=2)


def per_minute(meter: Any, capacity: int, **more: Any) -> Level:
    return Level(Allowance(meter, meter, capacity, "bucket", "minute", **more))


@pytest.mark.parametrize(
    ("meter", "capacity", "tokens", "claimed", "capped_by"),
    [
        ("tokens", 1_000, 115, 250, "tokens"),  # a quarter of it, less the input, for each of two choices
        ("output_tokens", 1_000, 125, 250, "output_tokens"),
        ("tokens", 100_000, 500, 1_020, ""),
        ("tokens", 100, 10, 40, "tokens"),  # no less than the least
        ("input_tokens", 30, 500, 20, ""),
        ("requests", 3, 500, 1, ""),
    ],
)
def test_where_the_provider_reserves_it_an_elastic_output_leaves_rates_their_headroom(
    meter: Any, capacity: int, tokens: int, claimed: int, capped_by: str
) -> None:
    outcome = decide([day_level(budget(capacity=10**9)), per_minute(meter, capacity)], RESERVED, NOW)
    assert isinstance(outcome, Grant)
    assert (outcome.output_tokens, outcome.amounts[1], outcome.capped_by) == (tokens, claimed, capped_by)
    assert outcome.output_rate == 2 * tokens


def test_an_elastic_output_that_goes_nowhere_is_reserved_nowhere() -> None:
    """Without enforced money the provider is sent no limit, and what it will probably use is all there is to say."""
    for levels in ([], [day_level(budget(capacity=10**9, mode="observe"))]):
        outcome = decide([*levels, per_minute("tokens", 100)], RESERVED, NOW)
        assert isinstance(outcome, Grant)
        assert (outcome.output_tokens, outcome.amounts[-1], outcome.output_rate) == (500, 60, 40)
    capped = decide([per_minute("tokens", 100)], RESERVED._replace(capped_by="cap"), NOW)
    assert isinstance(capped, Grant)
    assert (capped.output_tokens, capped.amounts[-1]) == (10, 40)


def test_limits_that_only_observe_narrow_no_output() -> None:
    levels = [day_level(budget(capacity=10**9)), per_minute("tokens", 100, mode="observe")]
    outcome = decide(levels, RESERVED, NOW)
    assert isinstance(outcome, Grant)
    assert (outcome.output_tokens, outcome.amounts[1], outcome.would_refuse) == (500, 1_020, ("tokens",))


def test_a_range_of_one_is_reserved_as_any_other() -> None:
    outcome = decide([day_level(budget(capacity=10**9))], RESERVED._replace(output_tokens_max=10), NOW)
    assert isinstance(outcome, Grant)
    assert (outcome.output_tokens, outcome.output_rate) == (10, 20)


@given(st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 10**5), st.integers(0, 10**7))
def test_what_is_affordable_is_the_most_that_fits(base: int, unit: int, most: int, nano_usd: int) -> None:
    asked = Demand(base, unit, 0, most)
    tokens = asked.affordable_output_tokens(nano_usd)
    assert 0 <= tokens <= most
    if asked.nano_usd(0) <= nano_usd:
        assert asked.nano_usd(tokens) <= nano_usd
        assert tokens == most or asked.nano_usd(tokens + 1) > nano_usd


# Unknown prices


def test_a_price_that_is_not_known_is_refused_where_money_is_counted_and_nowhere_else() -> None:
    unpriced = Demand(None, 0, 10, 10)
    outcome = decide([day_level()], unpriced, NOW)
    assert isinstance(outcome, Denial)
    assert outcome.reason == "price"
    limit = Level(Allowance("rpm", "requests", 10, "bucket", "minute"))
    granted = decide([limit], unpriced, NOW)
    assert isinstance(granted, Grant)
    assert granted.nano_usd == 0
    observed = decide([day_level(budget(mode="observe"))], unpriced, NOW)
    assert isinstance(observed, Grant)
    assert observed.would_refuse == ("day",)


# Denials, and the way back


@given(st.integers(0, 1_000), st.integers(0, 1_000), st.integers(1, 1_500))
def test_spent_money_comes_back_with_the_window_and_held_money_with_its_calls(spent: int, held: int, more: int) -> None:
    level = day_level(spent=spent, held=held)
    outcome = decide([level], demand(more), NOW)
    if isinstance(outcome, Grant):
        return
    assert (outcome.needed, outcome.left, outcome.spent, outcome.held) == (more, 1_000 - spent - held, spent, held)
    if more > 1_000:
        assert (outcome.comeback, outcome.resets_at_ms) == ("never", None)
    elif more <= 1_000 - spent:
        assert outcome.comeback == "on_release"
        level.held = 0
        assert isinstance(decide([level], demand(more), NOW), Grant), "once what is held comes back, it fits"
    else:
        assert (outcome.comeback, outcome.resets_at_ms) == ("never", level.end_ms)
        level.held = 0
        assert isinstance(decide([level], demand(more), NOW), Denial), "not even then"
        assert isinstance(decide([day_level()], demand(more), level.end_ms), Grant), "in the next window it does"


def test_a_spent_total_never_comes_back() -> None:
    outcome = decide([Level(budget(period="total"), spent=1_000)], demand(1), NOW)
    assert isinstance(outcome, Denial)
    assert (outcome.comeback, outcome.resets_at_ms) == ("never", None)


@given(
    st.integers(1, 1_000),
    st.sampled_from(["second", "minute", "hour", "day"]),
    st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, 1_000)), max_size=20),
    st.integers(1, 1_000),
)
def test_a_bucket_retried_after_its_wait_without_rivals_grants_and_not_a_millisecond_earlier(
    capacity: int, period: Any, calls: list[tuple[int, int]], tokens: int
) -> None:
    level = Level(Allowance("tpm", "tokens", capacity, "bucket", period), updated_ms=NOW)
    now_ms = NOW
    for pause_ms, amount in calls:
        now_ms += pause_ms
        if isinstance(decide([level], demand(0, tokens=amount, output=0), now_ms), Grant):
            take(level, amount, now_ms)
        assert 0 <= level.leaked(now_ms) <= capacity * level.scale
    wanted = demand(0, tokens=tokens, output=0)
    outcome = decide([level], wanted, now_ms)
    if isinstance(outcome, Grant):
        return
    if tokens > capacity:
        assert outcome.comeback == "never"
        return
    assert outcome.comeback == "later"
    assert outcome.wait_ms > 0
    assert isinstance(decide([level], wanted, now_ms + outcome.wait_ms), Grant)
    assert isinstance(decide([level], wanted, now_ms + outcome.wait_ms - 1), Denial)


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 5)), max_size=30))
def test_a_bucket_never_grants_more_than_its_capacity_and_what_has_flowed_back(calls: list[tuple[int, int]]) -> None:
    capacity = 10
    level = Level(Allowance("tpm", "tokens", capacity, "bucket", "minute"), updated_ms=NOW)
    granted, now_ms = 0, NOW
    for pause_ms, amount in calls:
        now_ms += pause_ms
        if isinstance(decide([level], demand(0, tokens=amount, output=0), now_ms), Grant):
            take(level, amount, now_ms)
            granted += amount
        assert granted * PERIOD_MS["minute"] <= capacity * (PERIOD_MS["minute"] + now_ms - NOW)


def test_a_clock_that_goes_back_leaks_nothing_and_forgets_nothing() -> None:
    level = Level(Allowance("rpm", "requests", 2, "bucket", "minute"), updated_ms=NOW)
    take(level, 2, NOW)
    assert level.free(NOW - 3_600_000) == 0
    void(level, 1, NOW - 3_600_000)
    assert level.updated_ms == NOW
    assert level.free(NOW) == 1


def test_a_gauge_waits_for_a_release() -> None:
    level = Level(Allowance("flight", "in_flight", 1, "gauge"))
    take(level, 1, NOW)
    outcome = decide([level], ONE, NOW)
    assert isinstance(outcome, Denial)
    assert (outcome.comeback, outcome.held, outcome.spent) == ("on_release", 1, 0)
    settle(level, 1, 1, NOW)
    assert (level.held, level.spent) == (0, 0)
    assert isinstance(decide([level], ONE, NOW), Grant)


@pytest.mark.parametrize("meter", ["nano_usd", "tokens"])
def test_a_total_waits_for_a_release_and_for_no_date(meter: Meter) -> None:
    total = Level(Allowance("once", meter, 100, "calendar", "total"), end_ms=FOREVER_MS, held=60)
    wanted = demand(50, tokens=50)
    outcome = decide([total], wanted, NOW)
    assert isinstance(outcome, Denial)
    assert (outcome.comeback, outcome.resets_at_ms) == ("on_release", None)
    day = day_level(held=960)
    assert decide([day, total], wanted, NOW) == decide([total, day], wanted, NOW) == outcome, "the day ends by itself"


def test_a_limit_of_nothing_never_fits() -> None:
    for allowance in (
        Allowance("rpm", "requests", 0, "bucket", "minute"),
        Allowance("flight", "in_flight", 0, "gauge"),
    ):
        outcome = decide([Level(allowance)], ONE, NOW)
        assert isinstance(outcome, Denial)
        assert outcome.comeback == "never"


def test_the_most_restrictive_denial_is_told() -> None:
    rate = Level(Allowance("rpm", "requests", 1, "bucket", "minute"), updated_ms=NOW)
    take(rate, 1, NOW)
    flight = Level(Allowance("flight", "in_flight", 1, "gauge"), held=1)
    spent = day_level(spent=1_000)
    names = []
    for levels in ([rate], [rate, flight], [spent, rate, flight]):
        outcome = decide(levels, demand(1), NOW)
        assert isinstance(outcome, Denial)
        names.append(outcome.allowance.name)
    assert names == ["rpm", "flight", "day"]


def test_of_limits_that_come_back_the_last_is_told_whatever_their_shapes() -> None:
    """A window says when it ends, a bucket how long it takes: only the waits can be compared."""
    day = Level(Allowance("day", "requests", 1, "bucket", "day"), updated_ms=NOW)
    hour = Level(Allowance("hour", "requests", 1, "calendar", "hour"), end_ms=NOW + 60_000)
    for level in (day, hour):
        take(level, 1, NOW)
    outcome = decide([hour, day], ONE, NOW)
    assert isinstance(outcome, Denial)
    assert (outcome.allowance.name, outcome.wait_ms) == ("day", DAY_MS)


def test_what_never_fits_is_told_before_what_is_only_spent() -> None:
    small = day_level(budget("small", 10, period="total"))
    spent = day_level(budget("spent"), spent=1_000)
    outcome = decide([spent, small], demand(11), NOW)
    assert isinstance(outcome, Denial)
    assert (outcome.allowance.name, outcome.resets_at_ms) == ("small", None)


class Rolling:
    """A rolling window kept as stores keep it: by sub-window."""

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self.rows: dict[int, list[int]] = {}

    def level(self, now_ms: int) -> Level:
        window, oldest_ms = rolling_window(self.allowance.period or "hour", now_ms)
        others = [(at, sum(row)) for at, row in sorted(self.rows.items()) if oldest_ms <= at < window.start_ms]
        spent, held = self.rows.get(window.start_ms, [0, 0])
        return Level(self.allowance, "", window.start_ms, window.end_ms, spent, held, others=others)

    def keep(self, level: Level) -> None:
        self.rows[level.start_ms] = [level.spent, level.held]


@given(st.lists(st.tuples(st.integers(0, 4_000_000), st.integers(1, 60)), max_size=25), st.integers(1, 100))
def test_a_rolling_window_retried_after_its_wait_grants(calls: list[tuple[int, int]], tokens: int) -> None:
    books = Rolling(Allowance("hourly", "tokens", 100, "rolling", "hour"))
    now_ms = NOW
    taken: list[tuple[int, int]] = []
    for pause_ms, amount in calls:
        now_ms += pause_ms
        level = books.level(now_ms)
        if isinstance(decide([level], demand(0, tokens=amount, output=0), now_ms), Grant):
            take(level, amount, now_ms)
            settle(level, amount, amount, now_ms)
            books.keep(level)
            taken.append((now_ms, amount))
        assert sum(used for at, used in taken if at > now_ms - PERIOD_MS["hour"]) <= 100, "no hour holds more"
    wanted = demand(0, tokens=tokens, output=0)
    outcome = decide([books.level(now_ms)], wanted, now_ms)
    if isinstance(outcome, Denial):
        assert outcome.comeback == "later"
        at_ms = now_ms + outcome.wait_ms
        assert isinstance(decide([books.level(at_ms)], wanted, at_ms), Grant)
        assert isinstance(decide([books.level(at_ms - 1)], wanted, at_ms - 1), Denial)
        assert outcome.wait_ms <= (SUB_WINDOWS + 1) * sub_window_ms("hour")


def test_a_rolling_budget_says_when_its_oldest_spend_leaves_it() -> None:
    books = Rolling(budget(capacity=100, period="hour", shape="rolling"))
    level = books.level(NOW)
    take(level, 80, NOW)
    settle(level, 80, 80, NOW)
    books.keep(level)
    later_ms = NOW + 600_000
    outcome = decide([books.level(later_ms)], demand(30), later_ms)
    assert isinstance(outcome, Denial)
    assert outcome.comeback == "never", "spent money is refused at once"
    assert outcome.spent == 80
    assert outcome.resets_at_ms is not None
    assert isinstance(decide([books.level(outcome.resets_at_ms)], demand(30), outcome.resets_at_ms), Grant)


# How levels move


LEVELS = st.builds(lambda spent, held: day_level(spent=spent, held=held), st.integers(0, 10**6), st.integers(0, 10**6))


@given(LEVELS, st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_hold_ends_in_its_fact(level: Level, claimed: int, actual: int) -> None:
    spent, held = level.spent, level.held
    take(level, claimed, NOW)
    assert (level.spent, level.held) == (spent, held + claimed)
    settle(level, claimed, actual, NOW)
    assert (level.spent, level.held) == (spent + actual, held)


@given(LEVELS, st.integers(0, 10**6))
def test_a_void_leaves_no_trace(level: Level, claimed: int) -> None:
    spent, held = level.spent, level.held
    take(level, claimed, NOW)
    void(level, claimed, NOW)
    assert (level.spent, level.held) == (spent, held)


@given(LEVELS, st.integers(0, 10**6), st.integers(0, 10**6))
def test_an_expiry_that_is_corrected_comes_to_the_same_as_a_settle(level: Level, claimed: int, actual: int) -> None:
    spent, held = level.spent, level.held
    take(level, claimed, NOW)
    expire(level, claimed)
    assert (level.spent, level.held) == (spent + claimed, held)
    correct(level, claimed, actual)
    assert (level.spent, level.held) == (spent + actual, held)


def bucket(level_ms: int) -> Level:
    return Level(Allowance("tpm", "tokens", 100, "bucket", "minute"), spent=level_ms, updated_ms=NOW)


@given(st.integers(0, 100 * 60_000), st.integers(0, 100), st.integers(0, 200))
def test_a_bucket_gives_back_what_was_not_used_only_where_the_provider_does(
    level_ms: int, claimed: int, actual: int
) -> None:
    refunding, keeping, voided, untouched = bucket(level_ms), bucket(level_ms), bucket(level_ms), bucket(level_ms)
    for level in (refunding, keeping, voided, untouched):
        take(level, claimed, NOW)
    settle(refunding, claimed, actual, NOW)
    settle(keeping, claimed, actual, NOW, refunds=False)
    void(voided, claimed, NOW)
    expire(untouched, claimed)
    correct(untouched, claimed, actual)
    assert refunding.spent == level_ms + actual * 60_000
    assert keeping.spent == level_ms + max(claimed, actual) * 60_000
    assert voided.spent == level_ms
    assert untouched.spent == level_ms + claimed * 60_000, "an orphan's rates stay as they are"


def test_a_gauge_lets_an_orphan_go() -> None:
    level = Level(Allowance("flight", "in_flight", 2, "gauge"), held=1)
    expire(level, 1)
    correct(level, 1, 0)
    assert (level.held, level.spent) == (0, 0)


def test_a_bucket_stays_within_what_can_be_counted() -> None:
    level = bucket(0)
    settle(level, 0, 2**50, NOW)
    assert level.spent == LEVEL_MAX


# Whose level


def test_an_allowance_binds_calls_by_their_scopes() -> None:
    teams = budget(each="team", only=(("provider", "openai"),))
    assert teams.subject_of({"provider": "groq", "team": "a"}) is None
    assert teams.subject_of({"provider": "openai", "team": "a"}) == "a"
    assert teams.subject_of({"provider": "openai"}) == "", "without the value: a level of their own"
    assert budget().subject_of({}) == ""


def test_a_call_without_the_value_is_refused_only_where_that_is_said() -> None:
    strict = budget(each="user", missing="refuse")
    assert strict.refuses_missing({})
    assert strict.refuses_missing({"user": ""})
    assert not strict.refuses_missing({"user": "u"})
    assert not budget(each="user").refuses_missing({})
    assert deny_missing(strict).reason == "missing"
    assert deny_missing(strict).comeback == "never"


@pytest.mark.parametrize(
    "fields",
    [
        ("nano_usd", -1, "calendar", "day"),
        ("nano_usd", 1, "bucket", "day"),
        ("requests", 1, "bucket", "total"),
        ("requests", 1, "rolling", "total"),
        ("in_flight", 1, "calendar", "day"),
        ("requests", 1, "gauge", None),
        ("in_flight", 1, "gauge", "day"),
        ("nano_usd", 1, "calendar", None),
        ("tokens", 2**40, "bucket", "day"),
        ("tokens", 2**53, "calendar", "day"),
    ],
)
def test_what_cannot_be_counted_is_no_allowance(fields: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="x: "):
        Allowance("x", *fields)

"""The breaker: every transition as a table, windows, open times, permits, leases, clocks; a plain model beside it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bursar.rules.breaker import BUCKETS, JITTER_SHARE, LAPSED_MAX, Breaker, BreakerPolicy, Outcome

NOON_MS = 1_795_176_000_000
PLAIN: dict[str, Any] = {
    "consecutive_failures": 3,
    "open_seconds": 10,
    "open_seconds_max": 40,
    "sustain_seconds": 100,
    "lease_seconds": 40,
}
SLOW_MS = 60_000


def made(**changes: Any) -> Breaker:
    """A breaker that three failures in a row open for ten seconds."""
    breaker = Breaker(BreakerPolicy(**PLAIN | changes))
    breaker.reset(NOON_MS)
    return breaker


def call(breaker: Breaker, outcome: Outcome, now_ms: int = NOON_MS, *, ms: int = 10, jitter: float = 0.0) -> str | None:
    """A call that passes and ends in the same millisecond."""
    permit = breaker.take(now_ms)
    assert permit is not None
    return breaker.finish(permit, outcome, ms, now_ms, jitter)


def opened(**changes: Any) -> Breaker:
    """One that opened at noon, for ten seconds."""
    breaker = made(**changes)
    assert [call(breaker, "failure") for _ in range(3)] == [None, None, "open"]
    return breaker


def half_open(**changes: Any) -> tuple[Breaker, int]:
    """One with its first probe out, at ten seconds past noon."""
    breaker = opened(**changes)
    probe = breaker.take(NOON_MS + 10_000)
    assert probe is not None
    return breaker, probe


@pytest.mark.parametrize(
    ("outcome", "ms", "new", "after"),
    [
        ("success", 10, "closed", "closed"),
        ("success", SLOW_MS, "open", "open"),
        ("failure", 10, "open", "open"),
        ("ignored", 10, None, "half_open"),
        ("ignored", SLOW_MS, None, "half_open"),
    ],
)
def test_what_a_probe_leads_to(outcome: Outcome, ms: int, new: str | None, after: str) -> None:
    breaker, probe = half_open()
    assert breaker.finish(probe, outcome, ms, NOON_MS + 10_000, 0.0) == new
    assert breaker.state(NOON_MS + 10_000) == after


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        (["failure"] * 2, "closed"),
        (["failure"] * 3, "open"),
        (["failure", "failure", "success", "failure", "failure"], "closed"),
        (["failure", "ignored", "failure", "ignored", "failure"], "open"),
        (["ignored"] * 50, "closed"),
        (["success"] * 50, "closed"),
    ],
)
def test_failures_in_a_row(outcomes: list[Outcome], state: str) -> None:
    breaker = made()
    for outcome in outcomes:
        call(breaker, outcome)
    assert breaker.state(NOON_MS) == state


@pytest.mark.parametrize(
    ("outcomes", "opens"),
    [
        (["success", "failure"] * 9 + ["success"], False),  # 19 calls: too few
        (["success", "failure"] * 10, True),  # the 20th is the tenth failure
        (["failure", "success"] * 10, False),  # the 20th is a success: that opens nothing
        (["failure", "success"] * 10 + ["failure"], True),
        (["success", "success", "failure"] * 20, False),
    ],
)
def test_a_share_of_failures(outcomes: list[Outcome], opens: bool) -> None:
    breaker = made(consecutive_failures=100)
    last = [call(breaker, outcome) for outcome in outcomes]
    assert last[:-1] == [None] * (len(outcomes) - 1)
    assert last[-1] == ("open" if opens else None)
    assert breaker.why == (f"{outcomes.count('failure')} of {len(outcomes)} calls failed within 60 s" if opens else "")


def test_a_share_of_slow_calls() -> None:
    breaker = made(minimum_calls=10)
    quick = [call(breaker, "success", ms=SLOW_MS - 1) for _ in range(2)]
    slow = [call(breaker, "success", ms=SLOW_MS) for _ in range(8)]
    assert quick + slow == [None] * 9 + ["open"]
    assert breaker.why == "8 of 10 calls took 60 s or longer"


def test_nothing_is_slow_where_no_time_is_too_long() -> None:
    breaker = made(slow_seconds=math.inf, minimum_calls=1)
    assert call(breaker, "success", ms=10**9) is None


@pytest.mark.parametrize(("later_ms", "opens"), [(54_000, True), (60_000, False), (3_600_000, False)])
def test_the_window_forgets(later_ms: int, opens: bool) -> None:
    breaker = made(consecutive_failures=100)
    start_ms = NOON_MS - NOON_MS % 6_000
    for _ in range(10):
        call(breaker, "failure", start_ms)
    for _ in range(9):
        call(breaker, "success", start_ms + 5_999)
    assert call(breaker, "failure", start_ms + later_ms) == ("open" if opens else None)


def test_the_window_forgets_what_is_older_although_calls_went_on() -> None:
    breaker = made(consecutive_failures=100)
    for _ in range(10):
        call(breaker, "failure", NOON_MS)
    for _ in range(10):
        call(breaker, "success", NOON_MS + 30_000)
    assert call(breaker, "failure", NOON_MS + 60_000) is None


def test_ages_pass_at_once() -> None:
    breaker = made()
    call(breaker, "success")
    assert call(breaker, "success", NOON_MS + 10**18) is None


def test_what_was_before_it_opened_does_not_count_once_it_has_closed() -> None:
    breaker = made(consecutive_failures=100)
    ends = [call(breaker, "failure", NOON_MS + number * 1_000) for number in range(20)]
    assert ends[-1] == "open"
    now_ms = breaker.opens_again_ms(NOON_MS + 19_000)
    assert call(breaker, "success", now_ms) == "closed"
    assert [call(breaker, "failure", now_ms) for _ in range(19)] == [None] * 19


@pytest.mark.parametrize(("cap", "expected"), [(40, [10, 20, 40, 40, 40]), (30, [10, 20, 30, 30, 30])])
def test_each_further_open_time_is_twice_as_long_up_to_the_cap(cap: int, expected: list[int]) -> None:
    breaker, now_ms, lengths = opened(open_seconds_max=cap), NOON_MS, []
    for _ in range(5):
        lengths.append((breaker.opens_again_ms(now_ms) - now_ms) // 1_000)
        now_ms = breaker.opens_again_ms(now_ms)
        call(breaker, "failure", now_ms)
    assert lengths == expected


def test_the_cap_is_never_below_the_first_open_time() -> None:
    breaker = opened(open_seconds=86_400, open_seconds_max=600)
    assert breaker.opens_again_ms(NOON_MS) == NOON_MS + 86_400_000


@pytest.mark.parametrize(
    ("closed_seconds", "open_seconds"), [(0, 40), (99, 40), (100, 20), (199, 20), (200, 10), (10**6, 10)]
)
def test_open_times_fall_back_only_after_a_sustained_close(closed_seconds: int, open_seconds: int) -> None:
    breaker, now_ms = opened(), NOON_MS
    for _ in range(3):  # at the cap, and no further away from the first for it
        now_ms = breaker.opens_again_ms(now_ms)
        call(breaker, "failure", now_ms)
    now_ms = breaker.opens_again_ms(now_ms)
    assert call(breaker, "success", now_ms) == "closed"
    now_ms += closed_seconds * 1000
    for _ in range(3):
        call(breaker, "failure", now_ms)
    assert breaker.opens_again_ms(now_ms) - now_ms == open_seconds * 1000


def test_jitter_shortens_by_up_to_a_quarter() -> None:
    ends = []
    for jitter in (0.0, 0.5, 1.0):
        breaker = made(consecutive_failures=1)
        call(breaker, "failure", jitter=jitter)
        ends.append(breaker.opens_again_ms(NOON_MS) - NOON_MS)
    assert ends == [10_000, 8_750, 7_500]
    assert JITTER_SHARE == 0.25


def test_open_lets_nobody_pass_until_its_time_is_over() -> None:
    breaker = opened()
    for now_ms in (NOON_MS, NOON_MS + 9_999):
        assert (breaker.state(now_ms), breaker.allows(now_ms), breaker.take(now_ms)) == ("open", False, None)
    assert (breaker.state(NOON_MS + 10_000), breaker.allows(NOON_MS + 10_000)) == ("half_open", True)


def test_looking_changes_nothing() -> None:
    breaker = opened()
    later_ms = NOON_MS + 10_000
    looks = [(breaker.state(later_ms), breaker.allows(later_ms), breaker.opens_again_ms(later_ms)) for _ in range(3)]
    assert looks == [("half_open", True, later_ms)] * 3
    assert breaker.state(NOON_MS) == "open"


@pytest.mark.parametrize("permits", [1, 3])
def test_half_open_gives_so_many_permits_and_closes_after_so_many_successes(permits: int) -> None:
    breaker = opened(permits=permits)
    now_ms = NOON_MS + 10_000
    probes = [probe for _ in range(10) if (probe := breaker.take(now_ms))]
    assert len(probes) == permits
    ends = [breaker.finish(probe, "success", 10, now_ms, 0.0) for probe in probes]
    assert ends == [None] * (permits - 1) + ["closed"]


def test_successes_count_against_the_permits() -> None:
    breaker, first = half_open(permits=2)
    now_ms = NOON_MS + 10_000
    breaker.finish(first, "success", 10, now_ms, 0.0)
    assert [breaker.take(now_ms) is not None for _ in range(3)] == [True, False, False]


def test_an_ignored_probe_makes_room_for_the_next() -> None:
    breaker, probe = half_open()
    now_ms = NOON_MS + 10_000
    assert breaker.take(now_ms) is None
    assert breaker.finish(probe, "ignored", 10, now_ms, 0.0) is None
    assert breaker.take(now_ms) is not None


def test_what_comes_back_from_a_state_that_is_over_changes_nothing() -> None:
    breaker = made(permits=2)
    early = [breaker.take(NOON_MS) or 0 for _ in range(2)]
    for _ in range(3):
        call(breaker, "failure")
    now_ms = NOON_MS + 10_000
    assert breaker.finish(early[0], "success", 10, NOON_MS, 0.0) is None
    assert breaker.state(NOON_MS) == "open"
    one, other = breaker.take(now_ms), breaker.take(now_ms)
    assert one
    assert other
    assert breaker.finish(early[1], "failure", 10, now_ms, 0.0) is None
    assert breaker.state(now_ms) == "half_open"
    assert breaker.finish(one, "failure", 10, now_ms, 0.0) == "open"
    assert breaker.finish(other, "failure", 10, now_ms, 0.0) is None
    assert breaker.opens_again_ms(now_ms) == now_ms + 20_000


def test_each_half_open_state_needs_its_own_successes() -> None:
    breaker = opened(permits=2)
    now_ms = NOON_MS + 10_000
    assert [call(breaker, outcome, now_ms) for outcome in ("success", "failure")] == [None, "open"]
    now_ms += 20_000
    assert [call(breaker, "success", now_ms) for _ in range(2)] == [None, "closed"]


def test_a_permit_comes_back_once() -> None:
    breaker, probe = half_open(permits=2)
    now_ms = NOON_MS + 10_000
    assert [breaker.finish(probe, "success", 10, now_ms, 0.0) for _ in range(3)] == [None, None, None]
    assert breaker.state(now_ms) == "half_open"


def test_a_thousand_failures_in_flight_open_it_once() -> None:
    breaker = made()
    permits = [breaker.take(NOON_MS) or 0 for _ in range(1_000)]
    changes = [breaker.finish(permit, "failure", 10, NOON_MS, 0.0) for permit in permits]
    assert changes.count("open") == 1
    assert breaker.opens_again_ms(NOON_MS) == NOON_MS + 10_000


def test_reset_closes_and_forgets() -> None:
    breaker, probe = half_open()
    now_ms = NOON_MS + 10_000
    breaker.reset(now_ms)
    assert (breaker.state(now_ms), breaker.why, breaker.opens_again_ms(now_ms)) == ("closed", "", 0)
    assert breaker.finish(probe, "failure", 10, now_ms, 0.0) is None
    assert [call(breaker, "failure", now_ms) for _ in range(3)] == [None, None, "open"]
    assert breaker.opens_again_ms(now_ms) == now_ms + 10_000


def test_a_probe_whose_holder_vanished_is_replaced_when_its_lease_ends() -> None:
    breaker, _ = half_open()
    now_ms = NOON_MS + 10_000
    assert breaker.opens_again_ms(now_ms) == now_ms + 40_000
    assert breaker.take(now_ms + 39_999) is None
    assert breaker.take(now_ms + 40_000) is not None
    assert breaker.take(now_ms + 40_000) is None


@pytest.mark.parametrize(("outcome", "new"), [("success", "closed"), ("failure", "open"), ("ignored", None)])
def test_a_probe_that_outlived_its_lease_still_counts(outcome: Outcome, new: str | None) -> None:
    breaker, late = half_open()
    now_ms = NOON_MS + 50_000
    assert breaker.take(now_ms) is not None
    assert breaker.finish(late, outcome, 10, now_ms, 0.0) == new
    assert breaker.allows(now_ms) == (new == "closed")


def test_holders_that_vanish_for_ever_take_no_room() -> None:
    breaker, _ = half_open()
    for times in range(100):
        assert breaker.take(NOON_MS + 50_000 + times * 40_000) is not None
    assert len(breaker._out) <= 1 + LAPSED_MAX


@pytest.mark.parametrize("back_ms", [1, 5_000, 10**9])
def test_a_clock_that_goes_back_ends_the_open_time(back_ms: int) -> None:
    breaker = opened()
    assert breaker.take(NOON_MS + 5_000) is None
    assert breaker.take(NOON_MS + 5_000 - back_ms) is not None


def test_a_clock_that_goes_back_ends_a_lease() -> None:
    breaker, _ = half_open()
    now_ms = NOON_MS - 1
    assert (breaker.allows(now_ms), breaker.opens_again_ms(now_ms)) == (True, now_ms)
    probe = breaker.take(now_ms)
    assert probe is not None
    assert breaker.take(now_ms) is None
    breaker.finish(probe, "ignored", 10, now_ms, 0.0)
    assert breaker.allows(NOON_MS + 10_001)  # it does not begin to run again


def test_a_clock_that_goes_back_forgets_the_window() -> None:
    breaker = made(consecutive_failures=100)
    for _ in range(19):
        call(breaker, "failure")
    assert call(breaker, "failure", NOON_MS - 3_600_000) is None


def test_a_clock_that_goes_back_while_closed_shortens_no_later_open_time() -> None:
    breaker, probe = half_open()
    breaker.finish(probe, "success", 10, NOON_MS + 10_000, 0.0)
    for _ in range(3):
        call(breaker, "failure", NOON_MS - 10**9)
    assert breaker.opens_again_ms(NOON_MS - 10**9) == NOON_MS - 10**9 + 20_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"consecutive_failures": 0},
        {"minimum_calls": 1.5},
        {"permits": 0},
        {"permits": True},
        {"failure_share": 0},
        {"failure_share": 1.01},
        {"slow_share": math.nan},
        {"slow_seconds": 0},
        {"slow_seconds": math.nan},
        {"open_seconds": 0},
        {"open_seconds_max": math.inf},
        {"sustain_seconds": "60"},
        {"lease_seconds": 0},
        {"window_seconds": 0},
    ],
    ids=str,
)
def test_a_policy_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BreakerPolicy(**wrong)


class Model(RuleBasedStateMachine):
    """The breaker beside a plain one, which keeps every call and adds them up each time."""

    @initialize(
        in_a_row=st.integers(1, 6),
        minimum=st.integers(1, 8),
        permits=st.integers(1, 3),
        failure_share=st.sampled_from([0.25, 0.5, 1.0]),
        slow_share=st.sampled_from([0.3, 0.8, 1.0]),
    )
    def start(self, in_a_row: int, minimum: int, permits: int, failure_share: float, slow_share: float) -> None:
        self.policy = BreakerPolicy(
            in_a_row,
            failure_share,
            slow_share,
            1.0,
            minimum,
            10,
            4.0,
            30.0,
            permits,
            sustain_seconds=20.0,
            lease_seconds=30.0,
        )
        self.breaker = Breaker(self.policy)
        self.now_ms = 10**6
        self.breaker.reset(self.now_ms)
        self.state, self.k, self.since_ms, self.until_ms = "closed", 0, self.now_ms, 0
        self.era = 0
        self.calls: list[tuple[int, bool, bool]] = []
        self.in_a_row = self.good = 0
        self.out: list[tuple[int, int, int]] = []  # permit, era, end of its lease or 0

    @rule(ms=st.integers(0, 700) | st.sampled_from([1_000, 4_000, 9_999, 30_000, 10**6]))
    def pass_time(self, ms: int) -> None:
        self.now_ms += ms

    @rule()
    def take(self) -> None:
        if self.state == "open" and self.now_ms >= self.until_ms:
            self.change("half_open")
        probes = sum(era == self.era and until_ms > self.now_ms for _, era, until_ms in self.out)
        passes = self.state == "closed" or (self.state == "half_open" and self.good + probes < self.policy.permits)
        assert self.breaker.allows(self.now_ms) == passes
        permit = self.breaker.take(self.now_ms)
        assert (permit is not None) == passes
        if permit is not None and len(self.out) < LAPSED_MAX:
            self.out.append((permit, self.era, 0 if self.state == "closed" else self.now_ms + 30_000))
        elif permit is not None:
            self.end(permit, self.era, "ignored", 1)

    @rule(place=st.integers(0, 30), outcome=st.sampled_from(["success", "failure", "ignored"]), slow=st.booleans())
    def finish(self, place: int, outcome: Outcome, slow: bool) -> None:
        if self.out:
            permit, era, _ = self.out.pop(place % len(self.out))
            self.end(permit, era, outcome, 1_000 if slow else 999)

    @rule()
    def reset(self) -> None:
        self.breaker.reset(self.now_ms)
        self.k = 0
        self.change("closed")

    def end(self, permit: int, era: int, outcome: Outcome, ms: int) -> None:
        before = self.state
        if era == self.era and outcome != "ignored":
            self.count(outcome == "failure", ms >= 1_000)
        changed = self.breaker.finish(permit, outcome, ms, self.now_ms, 0.0)
        assert changed == (self.state if self.state != before else None)

    def count(self, failed: bool, slow: bool) -> None:
        if self.state == "half_open":
            self.good += 1
            if failed or slow:
                self.open()
            elif self.good == self.policy.permits:
                self.change("closed")
            return
        self.in_a_row = self.in_a_row + 1 if failed else 0
        self.calls.append((self.now_ms // 1_000, failed, slow))
        recent = [one for one in self.calls if one[0] > self.now_ms // 1_000 - BUCKETS]
        failures, slows = sum(one[1] for one in recent), sum(one[2] for one in recent)
        shares = len(recent) >= self.policy.minimum_calls and (
            failures >= self.policy.failure_share * len(recent) or slows >= self.policy.slow_share * len(recent)
        )
        if (failed or slow) and (shares or self.in_a_row >= self.policy.consecutive_failures):
            self.open()

    def open(self) -> None:
        if self.state == "closed":
            self.k = max(self.k - (self.now_ms - self.since_ms) // 20_000, 0)
        self.change("open")
        self.until_ms = self.now_ms + min(4_000 * 2**self.k, 30_000)
        self.k = min(self.k + 1, 3)

    def change(self, state: str) -> None:
        self.state, self.since_ms = state, self.now_ms
        self.era += 1
        self.calls, self.in_a_row, self.good = [], 0, 0

    @invariant()
    def agrees(self) -> None:
        due = self.state == "open" and self.now_ms >= self.until_ms
        assert self.breaker.state(self.now_ms) == ("half_open" if due else self.state)
        if self.state == "open":
            assert self.breaker.opens_again_ms(self.now_ms) == max(self.until_ms, self.now_ms)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)

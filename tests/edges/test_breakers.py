"""The breakers of a process: locks, changes told in order, a bounded table, and crowds before a dead provider."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from bursar.call.events import BreakerChanged
from bursar.edges.breakers import PROBE_LOOK_MS, Breakers, Guard
from bursar.rules.breaker import BreakerPolicy
from tests.blocks.threads import OneAtATime, in_threads

NOON_MS = 1_795_176_000_000
POLICY = BreakerPolicy(consecutive_failures=2, open_seconds=10, open_seconds_max=40)
CROWD = 1_000


class Times:
    """A wall clock and a timer that are moved by hand."""

    def __init__(self) -> None:
        self.passed_ms = 0

    def clock(self) -> int:
        return NOON_MS + self.passed_ms

    def timer(self) -> int:
        return 77 + self.passed_ms


def breakers(times: Times, events: list[Any] | None = None, **changes: Any) -> Breakers:
    settings: dict[str, Any] = {"timer": times.timer, "chance": lambda: 0.0, **changes}
    if events is not None:
        settings["observe"] = events.append
    return Breakers(lambda provider: POLICY, times.clock, **settings)


def fail(guard: Guard, count: int = 2) -> None:
    for _ in range(count):
        permit = guard.take()
        assert permit is not None
        guard.finish(permit, "failure", 10)


def test_every_model_of_every_provider_has_its_own() -> None:
    table = breakers(Times())
    guard = table.of("openai", "gpt-4o")
    assert table.of("openai", "gpt-4o") is guard
    fail(guard)
    assert guard.state == "open"
    assert [table.of(*name).state for name in (("openai", "gpt-4o-mini"), ("azure", "gpt-4o"))] == ["closed"] * 2


def test_the_policy_is_that_of_the_provider() -> None:
    policies = {"one": BreakerPolicy(consecutive_failures=1), "two": BreakerPolicy(consecutive_failures=2)}
    table = Breakers(policies.__getitem__, lambda: NOON_MS)
    for provider in policies:
        fail(table.of(provider, "model"), 1)
    assert [table.of(provider, "model").state for provider in policies] == ["open", "closed"]


def test_every_change_is_told_by_the_wall_clock() -> None:
    times, events = Times(), list[Any]()
    guard = breakers(times, events).of("openai", "gpt-4o")
    fail(guard)
    times.passed_ms = 10_000
    probe = guard.take()
    assert probe is not None
    guard.finish(probe, "success", 10)
    assert not guard.reset()  # it is closed: nothing to tell
    fail(guard)
    assert guard.reset()
    why = "2 failures in a row"
    end_ms = NOON_MS + 10_000
    assert events == [
        BreakerChanged("openai", "gpt-4o", "open", end_ms, NOON_MS, why, 1),
        BreakerChanged("openai", "gpt-4o", "half_open", 0, end_ms, why, 1),
        BreakerChanged("openai", "gpt-4o", "closed", 0, end_ms, "", 1),
        BreakerChanged("openai", "gpt-4o", "open", end_ms + 10_000, end_ms, why, 2),
        BreakerChanged("openai", "gpt-4o", "closed", 0, end_ms, "", 2),
    ]


def test_a_wall_clock_that_is_set_moves_no_open_time() -> None:
    wall, timer, events = [NOON_MS], [0], list[Any]()
    table = Breakers(
        lambda provider: POLICY, lambda: wall[0], timer=lambda: timer[0], chance=lambda: 0.0, observe=events.append
    )
    guard = table.of("openai", "gpt-4o")
    fail(guard)
    wall[0] += 10**9
    assert (guard.state, guard.wait_ms, events[0].until_ms) == ("open", 10_000, NOON_MS + 10_000)
    wall[0], timer[0] = 0, 10_000
    assert guard.allows()


def test_probes_of_one_half_open_state_are_told_once() -> None:
    times, events = Times(), list[Any]()
    guard = breakers(times, events).of("openai", "gpt-4o")
    fail(guard)
    times.passed_ms = 10_000
    for _ in range(3):
        probe = guard.take()
        assert probe is not None
        guard.finish(probe, "ignored", 10)
    assert [event.state for event in events] == ["open", "half_open"]


def test_an_observer_may_use_the_breaker_that_it_is_told_of() -> None:
    states = []

    def observe(event: Any) -> None:
        states.append((event.state, guard.state))
        if event.state == "open":
            guard.reset()

    guard = Breakers(lambda provider: POLICY, lambda: NOON_MS, observe=observe).of("openai", "gpt-4o")
    fail(guard)
    assert states == [("open", "open"), ("closed", "closed")]


def test_changes_are_told_in_their_order_whoever_tells_them() -> None:
    told: list[str] = []
    entered, go_on = threading.Event(), threading.Event()

    def observe(event: Any) -> None:
        if event.state == "open":
            entered.set()
            assert go_on.wait(10)
        told.append(event.state)

    guard = Breakers(lambda provider: POLICY, lambda: NOON_MS, observe=observe).of("openai", "gpt-4o")
    opening = threading.Thread(target=fail, args=(guard,))
    opening.start()
    assert entered.wait(10)
    resetting = threading.Thread(target=guard.reset)
    resetting.start()
    while guard.state != "closed":
        time.sleep(0.001)
    time.sleep(0.02)  # time enough to tell it too early
    go_on.set()
    opening.join(10)
    resetting.join(10)
    assert told == ["open", "closed"]


def test_a_refusal_says_why_and_when() -> None:
    times = Times()
    guard = breakers(times).of("openai", "gpt-4o")
    fail(guard)
    times.passed_ms = 500
    assert (guard.allows(), guard.take(), guard.wait_ms) == (False, None, 9_500)
    error = guard.refusal()
    assert (error.retryable, error.retry_after_seconds, error.sent) == (True, 9.5, False)
    assert str(error) == (
        "the circuit breaker of openai/gpt-4o is open (2 failures in a row); try again in 9.5 s"
    )  # fmt: skip


def test_who_is_refused_while_a_probe_is_out_may_look_again_soon() -> None:
    times = Times()
    guard = breakers(times).of("openai", "gpt-4o")
    fail(guard)
    times.passed_ms = 10_000
    assert guard.wait_ms == 0
    guard.take()
    assert (guard.state, guard.allows(), guard.wait_ms) == ("half_open", False, PROBE_LOOK_MS)


def test_jitter_is_drawn_anew_for_each_opening() -> None:
    chances = iter([0.0, 1.0, 0.0])
    times, events = Times(), list[Any]()
    guard = breakers(times, events, chance=chances.__next__).of("openai", "gpt-4o")
    fail(guard)
    times.passed_ms = 10_000
    fail(guard, 1)
    assert [event.until_ms - event.at_ms for event in events if event.state == "open"] == [10_000, 15_000]


def test_a_full_table_forgets_closed_ones_that_were_not_used_for_longest() -> None:
    times = Times()
    table = breakers(times, guards_max=8)
    guards = []
    for number in range(8):
        times.passed_ms = number
        guards.append(table.of("openai", str(number)))
    fail(guards[0])
    times.passed_ms = 100
    permit = guards[1].take()
    assert permit is not None
    guards[1].finish(permit, "success", 10)
    table.of("openai", "new")
    kept = [table._guards.get(("openai", str(number))) is guards[number] for number in range(8)]
    assert kept == [True, True, False, False, True, True, True, True]
    assert len(table._guards) <= 8


def test_open_ones_are_never_forgotten() -> None:
    events: list[Any] = []
    table = breakers(Times(), events, guards_max=4)
    guards = [table.of("openai", str(number)) for number in range(4)]
    for guard in guards:
        fail(guard)
    extra = table.of("openai", "extra")
    fail(extra)
    assert table.of("openai", "extra").state == "closed"
    assert [event.model for event in events] == ["0", "1", "2", "3"]  # not of one that nobody can find again
    assert [table.of("openai", str(number)) for number in range(4)] == guards
    guards[2].reset()
    assert table.of("openai", "more") is table.of("openai", "more")


def test_reset_by_model_by_provider_and_of_all() -> None:
    table = breakers(Times())
    names = [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"), ("c", "1")]
    for name in names[:4]:
        fail(table.of(*name))
    table.of(*names[4])
    assert table.reset("a", "1") == 1
    assert [table.of(*name).state for name in names] == ["closed", "open", "open", "open", "closed"]
    assert table.reset("b") == 2
    assert table.reset("nobody") == 0
    assert (table.reset(), table.reset()) == (1, 0)


def test_the_snapshot_shows_those_that_have_opened() -> None:
    times = Times()
    table = breakers(times)
    table.of("openai", "never")
    fail(table.of("openai", "gpt-4o"))
    table.of("groq", "llama")
    fail(table.of("groq", "llama"))
    table.reset("groq")
    times.passed_ms = 1_000
    shown = {"state": "open", "opened": 1, "why": "2 failures in a row", "wait_seconds": 9.0}
    assert table.snapshot() == {
        "groq/llama": {"state": "closed", "opened": 1, "why": "", "wait_seconds": 0.0},
        "openai/gpt-4o": shown,
    }


@pytest.mark.parametrize("permits", [1, 3])
def test_of_a_thousand_threads_no_more_than_the_permits_reach_a_dead_provider(permits: int) -> None:
    times = Times()
    policy = BreakerPolicy(consecutive_failures=2, open_seconds=10, permits=permits)
    table = Breakers(lambda provider: policy, times.clock)
    fail(table.of("openai", "gpt-4o"))
    times.passed_ms = 10_000
    start, refused = threading.Barrier(CROWD + 1), threading.Barrier(CROWD + 1)
    reached: list[int] = []

    def ask() -> None:
        start.wait(30)
        permit = table.of("openai", "gpt-4o").take()
        if permit is not None:
            reached.append(permit)
        refused.wait(30)  # the provider does not answer before everybody has asked
        if permit is not None:
            table.of("openai", "gpt-4o").finish(permit, "failure", 10)

    stack_bytes = threading.stack_size(256 * 1024)
    try:
        crowd = [threading.Thread(target=ask) for _ in range(CROWD)]
        for thread in crowd:
            thread.start()
    finally:
        threading.stack_size(stack_bytes)
    start.wait(30)
    refused.wait(30)
    for thread in crowd:
        thread.join(30)
    assert len(reached) == permits
    assert table.of("openai", "gpt-4o").state == "open"


async def test_of_a_thousand_tasks_no_more_than_the_permits_reach_a_dead_provider() -> None:
    times = Times()
    guard = breakers(times).of("openai", "gpt-4o")
    fail(guard)
    reached: list[int] = []
    most = 0

    async def ask() -> None:
        nonlocal most
        permit = guard.take()
        if permit is None:
            return
        reached.append(permit)
        most = max(most, len(reached))
        await asyncio.sleep(0)
        reached.remove(permit)
        guard.finish(permit, "failure", 10)

    for _ in range(5):
        times.passed_ms += guard.wait_ms
        await asyncio.gather(*(ask() for _ in range(CROWD)))
        assert guard.state == "open"
    assert most == 1


def test_each_breaker_is_used_by_one_thread_at_a_time() -> None:
    timer = OneAtATime()
    table = Breakers(lambda provider: POLICY, lambda: NOON_MS, timer=timer)
    closed, opened = table.of("openai", "gpt-4o"), table.of("openai", "o3")
    fail(opened)
    for guard in (closed, opened):
        in_threads(lambda guard=guard: guard.finish(guard.take() or 0, "success", 10))  # type: ignore[misc]
        in_threads(lambda guard=guard: (guard.state, guard.allows(), guard.wait_ms))  # type: ignore[misc]
    assert timer.collisions == 0

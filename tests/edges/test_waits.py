"""The figures of queues: who waits, since when, and how waits ended; bounded."""

from __future__ import annotations

import pytest

from bursar.edges.waits import OTHERS, SERIES_MAX, WINDOW_MS, WaitStatistics
from tests.contract.store.material import Clock, budget
from tests.edges.desk import Desk


def test_the_figures_of_a_queue() -> None:
    desk = Desk(budget())
    desk.ask("holder", 1_000)
    desk.ask("granted", 100)
    desk.ask("times out", 900, wait_ms=2_000)
    goes = desk.ask("goes", 900)
    desk.ask("waits", 900)
    desk.ask("refused", 1_001)
    desk.pass_ms(3_000)
    desk.cancel(goes)
    shown = desk.teller.queues()["day"]
    assert (shown["waiting"], shown["oldest_wait_seconds"], shown["granted"], shown["p50"]) == (2, 3.0, 0, None)
    desk.void("holder")
    shown = desk.teller.queues()["day"]
    assert (shown["granted"], shown["timed_out"], shown["left"], shown["refused"]) == (2, 1, 1, 1)
    assert (shown["waiting"], shown["oldest_wait_seconds"]) == (0, None)
    assert (shown["avg_wait_seconds"], shown["longest_wait_seconds"]) == (3.0, 3.0)
    assert shown["p99"] == pytest.approx(3.0, rel=0.01)


def test_a_wait_that_moves_goes_on() -> None:
    clock = Clock()
    waits = WaitStatistics(clock)
    waits.began("a", 1, clock())
    clock.pass_ms(500)
    waits.moved("a", "b", 1)
    assert {name: each["waiting"] for name, each in waits.snapshot().items()} == {"a": 0, "b": 1}
    assert waits.snapshot()["b"]["oldest_wait_seconds"] == 0.5
    clock.pass_ms(500)
    waits.ended("b", 1, "granted")
    assert waits.snapshot()["b"]["longest_wait_seconds"] == 1.0


def test_the_past_is_forgotten_after_an_hour() -> None:
    clock = Clock()
    waits = WaitStatistics(clock)
    waits.began("a", 1, clock())
    waits.ended("a", 1, "timed_out")
    waits.turned_away("a")
    assert (waits.snapshot()["a"]["timed_out"], waits.snapshot()["a"]["full"]) == (1, 1)
    clock.pass_ms(2 * WINDOW_MS)
    assert (waits.snapshot()["a"]["timed_out"], waits.snapshot()["a"]["full"]) == (0, 0)


def test_so_many_names_have_figures_of_their_own() -> None:
    clock = Clock()
    waits = WaitStatistics(clock)
    for number in range(2 * SERIES_MAX):
        waits.began(f"{number}", number, clock())
    shown = waits.snapshot()
    assert len(shown) == SERIES_MAX + 1
    assert shown[OTHERS]["waiting"] == SERIES_MAX
    waits.moved("0", f"{SERIES_MAX + 7}", 0)
    waits.ended(f"{SERIES_MAX + 7}", 0, "granted")
    waits.ended(f"{SERIES_MAX + 7}", SERIES_MAX + 7, "left")
    others = waits.snapshot()[OTHERS]
    assert (others["waiting"], others["granted"], others["left"]) == (SERIES_MAX - 1, 1, 1)

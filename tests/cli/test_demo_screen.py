"""What the demo tells of single calls, and how it is drawn."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bursar.call.events import CallEnded, CallRefused
from bursar.cli.demo_run import LINES_MAX, Notice, Watch
from bursar.cli.demo_screen import Counting, LiveScreen, PlainScreen, Standing, notice_line
from bursar.errors import BudgetExceededError, RefusedError
from tests.contract.store.material import fact

STANDING = Standing(
    seconds=2.0,
    budget_nano_usd=100_000_000,
    spent_nano_usd=60_000_000,
    held_nano_usd=30_000_000,
    calls=400,
    ok=190,
    in_flight=30,
    waiting=34,
    refused=100,
    aborted=20,
    failed=10,
)


def refusal(*, held: bool = False) -> BudgetExceededError:
    return BudgetExceededError(
        "over",
        budget="client",
        window="total",
        needed_nano_usd=7_000_000,
        left_nano_usd=1,
        spent_nano_usd=94_000_000,
        held_nano_usd=0,
        limit_nano_usd=100_000_000,
        held=held,
    )


@pytest.fixture
def told() -> list[Notice]:
    return []


@pytest.fixture
def watch(told: list[Notice]) -> Watch:
    return Watch(told.append)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"ending": "aborted"}, "aborted", "left, yet billed: charged $0.000070"),
        ({"ending": "cancelled", "certain": False}, "aborted", "left, cut: $0.000070 stays set aside"),
        ({"ending": "error", "status": 503}, "failed", "HTTP 503: charged $0.000070"),
        ({"ending": "error", "certain": False}, "failed", "connection broke: $0.000070 set aside"),
        ({"ending": "interrupted", "certain": False, "status": 200}, "failed", "stream cut short: $0.000070 set aside"),
        ({"ending": "ok", "certain": False, "status": 200}, "failed", "no usage told: $0.000070 set aside"),
        ({"wait_ms": 1300}, "waited", "1.3 s for $0.000100 that others held"),
    ],
)
def test_notable_endings_get_a_line(watch: Watch, told: list[Notice], options: dict, kind: str, words: str) -> None:  # type: ignore[type-arg]
    watch(CallEnded(fact("a", 70_000, bound_nano_usd=100_000, model="maker/gpt-4o", **options)))
    assert [(one.kind, one.model, one.text) for one in told] == [(kind, "gpt-4o", words)]


def test_an_ordinary_call_gets_none(watch: Watch, told: list[Notice]) -> None:
    watch(CallEnded(fact("a", 70_000)))
    assert told == []


def test_refusals_say_what_was_needed_and_what_is_unspent(watch: Watch, told: list[Notice]) -> None:
    watch(CallRefused("c", "openai", "gpt-4o", refusal(), 0))
    watch(CallRefused("c", "openai", "gpt-4o", refusal(held=True), 3000))
    watch(CallRefused("c", "openai", "gpt-4o", RefusedError("nobody waits"), 0))
    assert [(one.kind, one.text) for one in told] == [
        ("refused", "needs $0.007000, unspent $0.006000"),
        ("refused", "waited in vain for $0.007000 held"),
        ("aborted", "left while it waited: nothing sent"),
    ]


def test_the_talk_is_kept_short(watch: Watch, told: list[Notice]) -> None:
    for _ in range(50):
        watch(CallRefused("c", "openai", "gpt-4o", refusal(), 0))
    assert len(told) == LINES_MAX["refused"]


def test_a_wait_is_told_when_it_is_the_longest_by_far(watch: Watch, told: list[Notice]) -> None:
    for wait_ms in (400, 420, 900, 100):
        watch(CallEnded(fact("a", wait_ms=wait_ms)))
    assert [one.text[:5] for one in told] == ["0.4 s", "0.9 s"]
    assert watch.waited == 3


def test_notices_fit_eighty_columns() -> None:
    longest = Notice(12.3, "waited", "llama-3.3-70b-versatile", "10.3 s for $0.000028 that others held")
    assert len(notice_line(longest)) <= 80


def test_a_terminal_shows_the_standing_and_keeps_the_notices() -> None:
    page = io.StringIO()
    screen = LiveScreen(Console(file=page, width=80, force_terminal=True, color_system=None))
    with screen.live():
        screen.show(STANDING)
        screen.tell(Notice(0.5, "failed", "gpt-4o", "x" * 100))
        screen.show(Counting(100_000_000, 120_000_000, 400, 300))
        screen.say("done")
    drawn = page.getvalue()
    assert "spent $0.060000   held $0.030000   left $0.010000" in drawn
    assert "ok 190   in flight 30   waiting 34   refused 100   aborted 20   failed 10" in drawn
    assert "x…" in drawn
    assert "sent 300 of 400 calls" in drawn


def test_without_a_terminal_there_is_a_line_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    screen = PlainScreen()
    for _ in range(5):
        screen.show(STANDING)
    screen.show(Counting(1, 2, 3, 4))
    assert capsys.readouterr().out.count("spent $0.060000") == 1

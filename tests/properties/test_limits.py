"""Every denial tells the truth about its end: whatever binds, over every shape, meter and scope, in both stores.

Retried after the time that it names, with no rivals, the call is granted, and not a millisecond sooner; what calls in
flight hold comes free with them; what never fits never does.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bursar.call.books import Granted, Settle, Void
from bursar.edges.stores.memory import MemoryStore
from bursar.edges.stores.sqlite import SqliteStore
from bursar.rules.allowances import Allowance, Denial
from bursar.rules.usage import Usage
from tests.contract.store.material import NOON_MS, SCOPES, Books, fact, reserve

METERS = ("requests", "tokens", "input_tokens", "output_tokens")
SCOPE = st.sampled_from([
    {}, {"only": (("provider", "openai"),)}, {"only": (("model", "openai/gpt-4o"),)}, {"only": (("team", "search"),)},
    {"each": "provider"}, {"each": "model"}, {"each": "key"}, {"each": "user"}, {"each": "session"},
    {"each": "key", "only": (("provider", "openai"),)},
])  # fmt: skip
SHAPED = st.one_of(
    st.tuples(st.sampled_from(METERS), st.just("bucket"), st.sampled_from(["second", "minute", "hour", "day"])),
    st.tuples(st.sampled_from(METERS), st.just("calendar"), st.sampled_from(["hour", "day", "week", "month"])),
    st.tuples(st.sampled_from(METERS), st.just("rolling"), st.sampled_from(["hour", "day", "week"])),
    st.tuples(st.just("in_flight"), st.just("gauge"), st.none()),
)
CALLS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 40, 900, 59_000, 3_000_000, 90_000_000]),
        st.tuples(st.integers(0, 8), st.integers(0, 8)),
        st.sampled_from(["settle", "void", "hold", "hold"]),
    ),
    max_size=12,
)


@st.composite
def limits(draw: Any) -> list[Allowance]:
    """Up to four limits, of sizes that a dozen calls reach."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        meter, shape, period = draw(SHAPED)
        capacity = draw(st.integers(1, 4 if meter in ("requests", "in_flight") else 20))
        found.append(Allowance(f"limit{number}", meter, capacity, shape, period, **draw(SCOPE)))
    return found


def live(books: Books, calls: list[tuple[int, tuple[int, int], str]], refunds: bool) -> set[str]:
    """Make calls; the ids of those that are still in flight."""
    in_flight = set()
    for number, (pause_ms, tokens, ending) in enumerate(calls):
        books.clock.pass_ms(pause_ms)
        attempt_id = f"call{number}"
        if not isinstance(books.do(reserve(attempt_id, tokens=tokens, refunds=refunds)), Granted):
            continue
        if ending == "settle":
            usage = Usage.of(tokens[0] // 2, tokens[1] // 2)
            books.do(Settle(fact(attempt_id, 10, usage=usage, reserved_ms=books.clock.now_ms)))
        elif ending == "void":
            books.do(Void(attempt_id))
        else:
            in_flight.add(attempt_id)
    return in_flight


def released(books: Books, in_flight: set[str]) -> None:
    books.do_all([Void(attempt_id) for attempt_id in sorted(in_flight)])


def tell(books: Books, denial: Denial, tokens: tuple[int, int], in_flight: set[str]) -> None:
    """Do what a denial says, and see that it was right."""
    allowance, needed = denial.allowance, denial.needed
    assert denial.reason == "over"
    assert needed == {"tokens": sum(tokens), "input_tokens": tokens[0], "output_tokens": tokens[1]}.get(
        allowance.meter, 1
    )
    assert denial.left < needed
    if denial.comeback == "never":
        assert needed > allowance.capacity
        books.clock.pass_ms(400 * 86_400_000)
        released(books, in_flight)
        assert isinstance(books.do(reserve("again", tokens=tokens)), Denial)
        return
    if denial.comeback == "on_release":
        assert allowance.shape == "gauge"
        released(books, in_flight)
    else:
        assert denial.wait_ms > 0
        books.clock.pass_ms(denial.wait_ms - 1)
        sooner = books.do(reserve("sooner", tokens=tokens))
        assert isinstance(sooner, Denial), "the wait is exact"
        assert sooner.allowance.name == allowance.name
        assert sooner.wait_ms == 1
        books.clock.pass_ms(1)
    outcome = books.do(reserve("again", tokens=tokens))
    if isinstance(outcome, Denial):
        # Something less restrictive was hidden behind places in flight, and is told now.
        assert denial.comeback == "on_release"
        assert outcome.comeback == "later"
        tell(books, outcome, tokens, set())


def tried(store: Any, defined: list[Allowance], calls: Any, tokens: tuple[int, int], refunds: bool) -> None:
    books = Books(store)
    books.define(*defined)
    in_flight = live(books, calls, refunds)
    outcome = books.do(reserve("asked", tokens=tokens, refunds=refunds))
    if isinstance(outcome, Denial):
        tell(books, outcome, tokens, in_flight)


TOKENS = st.tuples(st.integers(0, 14), st.integers(0, 14))


@settings(max_examples=300, deadline=None)
@given(limits(), CALLS, TOKENS, st.booleans())
def test_a_denial_tells_the_truth(defined: list[Allowance], calls: Any, tokens: Any, refunds: bool) -> None:
    store = MemoryStore()
    tried(store, defined, calls, tokens, refunds)
    store.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(limits(), CALLS, TOKENS, st.booleans())
def test_a_denial_tells_the_truth_in_a_file(defined: list[Allowance], calls: Any, tokens: Any, refunds: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "books.db", clock=lambda: NOON_MS)
        try:
            tried(store, defined, calls, tokens, refunds)
        finally:
            store.close()


@pytest.mark.parametrize("meter", METERS)
def test_there_are_denials_to_tell_of(meter: Any) -> None:
    """The tests above would pass on limits that nothing reaches."""
    assert set(SCOPES) >= {"provider", "model", "key", "user", "team"}
    books = Books(MemoryStore())
    books.define(Allowance("limit0", meter, 4, "bucket", "minute", each="user"))
    in_flight = live(books, [(0, (4, 4), "hold")] * 5, refunds=True)
    assert len(in_flight) == (4 if meter == "requests" else 1 if meter != "tokens" else 0)
    outcome = books.do(reserve("asked", tokens=(4, 4)))
    assert isinstance(outcome, Denial)
    tell(books, outcome, (4, 4), in_flight)
    books.store.close()

"""Every ending at every effect of a call: the real flow and both drivers, with up to two things that go wrong in a run.

Whatever happens next is chosen in every possible way (`fates`): a seat is free or not, the books grant, deny, fail, or
lose their answer, a breaker is open or its permits are out, the provider answers in any way or none, and between any
two effects the caller is cancelled, leaves or is interrupted, or the call itself is cut. After each run, once everybody
has ended: nothing is held, no seat is taken, every permit is back, no id went out twice nor for nobody, and the books
say what the provider billed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bursar.call.conclude import Conclusion
from bursar.edges.drive import AsyncRun
from tests.simulation import planting
from tests.simulation.desks import run_async, run_blocking
from tests.simulation.fates import every
from tests.simulation.loop import VirtualLoop, simulate
from tests.simulation.place import Permits, Place

RUNS_MAX = 100_000


def search_async(deviations_max: int, *, stream: bool) -> tuple[int, dict[str, list[str]]]:
    """How many runs there are, and what goes wrong in which."""

    async def main(loop: VirtualLoop) -> tuple[int, dict[str, list[str]]]:
        wrong: dict[str, list[str]] = {}
        runs = 0
        for fates in every(deviations_max):
            runs += 1
            note(await run_async(fates, stream=stream), wrong)
        return runs, wrong

    return simulate(main)


def search_blocking(deviations_max: int, *, stream: bool) -> tuple[int, dict[str, list[str]]]:
    """The same in the blocking colour."""
    wrong: dict[str, list[str]] = {}
    runs = 0
    for fates in every(deviations_max):
        runs += 1
        note(run_blocking(fates, stream=stream), wrong)
    return runs, wrong


def note(place: Place, wrong: dict[str, list[str]]) -> None:
    problems = list(place.problems())
    if problems:
        wrong[", ".join(place.fates.chosen)] = problems


SEARCHES = (search_async, search_blocking)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("search", SEARCHES)
def test_every_ending_keeps_every_promise(search: Callable[..., Any], stream: bool) -> None:
    runs, wrong = search(2, stream=stream)
    assert wrong == {}
    assert 200 < runs < RUNS_MAX


def sent_for_the_gone(patch: planting.Patch) -> None:
    """Whoever is cancelled while the connection is made is called for all the same."""
    patch.setattr(AsyncRun, "under_way", property(lambda run: run.opened))


def permit_forgotten(patch: planting.Patch) -> None:
    """A permit comes back only with an answer."""
    patch.setattr(Conclusion, "health", property(lambda conclusion: "" if conclusion.error else "success"))
    finish = Permits.finish
    patch.setattr(Permits, "finish", lambda self, permit, outcome, ms: finish(self, permit if outcome else 0, "", ms))


@pytest.mark.parametrize(
    ("plant", "searches"),
    [
        (planting.seat_kept, SEARCHES),
        (planting.settle_of_the_gone_forgotten, SEARCHES),
        (planting.void_after_sending, SEARCHES),
        (planting.sure_of_the_unknown, SEARCHES),
        (permit_forgotten, SEARCHES),
        (sent_for_the_gone, (search_async,)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_planted_bug_is_found(
    plant: planting.Plant, searches: tuple[Callable[..., Any], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    for search in searches:
        assert search(1, stream=True)[1] or search(1, stream=False)[1], search

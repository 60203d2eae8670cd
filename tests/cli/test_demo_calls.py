"""The calls of the demo: the same for the same seed, and of every kind."""

from __future__ import annotations

from bursar.cli.demo_calls import MODELS, demo_calls
from bursar.sim.faults import parse_fault


def test_a_seed_decides_everything() -> None:
    assert demo_calls(50, 7) == demo_calls(50, 7)
    assert demo_calls(50, 7) != demo_calls(50, 8)


def test_more_calls_begin_with_the_same_ones() -> None:
    assert demo_calls(80, 1)[:50] == demo_calls(50, 1)


def test_every_kind_occurs() -> None:
    calls = demo_calls(400, 1)
    assert {call.model for call in calls} == set(MODELS)
    assert {call.stream for call in calls} == {True, False}
    assert len({call.prompt for call in calls}) == len(calls)
    left = [call for call in calls if call.leave_after_deltas or call.cancel_after_seconds]
    assert {call.stream for call in left} == {True, False}
    assert {call.stream for call in calls if call.fault} == {True, False}


def test_the_simulator_understands_every_fault() -> None:
    assert all(parse_fault(call.fault) for call in demo_calls(2000, 3) if call.fault)

"""Several workers as one: what was counted adds up for ever, and what is only so now is of those who live."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.telemetry.families import Family, Labels, Merge, Onward, Snapshot, Value, added_up

NOW_MS, SILENT_MS = 1_000_000, 10_000


def counter(*samples: tuple[Labels, Value], name: str = "a_total") -> Family:
    return Family(name, "counter", "A.", ("x",), list(samples))


def gauge(value: float, merge: Merge = "sum") -> Family:
    return Family("g", "gauge", "G.", (), [((), value)], merge=merge)


def total(*snapshots: Snapshot) -> dict[str, dict[Labels, Value]]:
    return {family.name: dict(family.samples) for family in added_up(snapshots, NOW_MS, silent_ms=SILENT_MS)}


def test_counters_of_all_workers_are_added_series_by_series() -> None:
    one = Snapshot("1", NOW_MS, [counter((("a",), 1), (("b",), 2))])
    other = Snapshot("2", NOW_MS, [counter((("b",), 40), (("c",), 3))])
    assert total(one, other) == {"a_total": {("a",): 1, ("b",): 42, ("c",): 3}}


def test_histograms_are_added_bucket_by_bucket() -> None:
    made = [Family("h", "histogram", "H.", (), [((), counts)], 1_000, (10,)) for counts in ([1, 2, 30], [3, 0, 9])]
    assert total(Snapshot("1", NOW_MS, made[:1]), Snapshot("2", NOW_MS, made[1:])) == {"h": {(): [4, 2, 39]}}


@pytest.mark.parametrize(("merge", "value"), [("sum", 7), ("min", 3), ("max", 4)])
def test_gauges_become_one_in_their_own_way(merge: Merge, value: int) -> None:
    assert total(Snapshot("1", NOW_MS, [gauge(3, merge)]), Snapshot("2", NOW_MS, [gauge(4, merge)])) == {
        "g": {(): value}
    }


@pytest.mark.parametrize(
    "dead",
    [
        Snapshot("2", NOW_MS, [counter((("a",), 5)), gauge(100)], ended=True),
        Snapshot("2", NOW_MS - SILENT_MS, [counter((("a",), 5)), gauge(100)]),
    ],
    ids=["ended", "killed"],
)
def test_who_is_gone_still_counts_and_holds_nothing(dead: Snapshot) -> None:
    lives = Snapshot("1", NOW_MS - SILENT_MS + 1, [counter((("a",), 1)), gauge(2)])
    assert total(lives, dead) == {"a_total": {("a",): 6}, "g": {(): 2}}


def test_another_versions_histogram_is_not_mixed_with_ours() -> None:
    made = [Family("h", "histogram", "H.", (), [((), [1, 1, 1])], 1_000, bounds) for bounds in ((10,), (20,))]
    assert total(*(Snapshot(str(n), NOW_MS + n, [family]) for n, family in enumerate(made))) == {"h": {(): [1, 1, 1]}}


def test_adding_up_changes_nothing_of_what_is_added() -> None:
    samples: list[tuple[Labels, Value]] = [((), [1, 2, 3])]
    family = Family("h", "histogram", "H.", (), samples, 1_000, (10,))
    for _ in range(2):
        total(Snapshot("1", NOW_MS, [family]), Snapshot("2", NOW_MS, [family]))
    assert samples == [((), [1, 2, 3])]


def test_a_snapshot_is_read_back_as_it_was_written() -> None:
    snapshot = Snapshot("1", NOW_MS, [counter((("a",), 10**20)), gauge(0.5)], ended=True)
    assert msgspec.json.decode(msgspec.json.encode(snapshot), type=Snapshot) == snapshot


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50)), max_size=30))
def test_counters_of_what_is_replaced_never_go_back(steps: list[tuple[int, int]]) -> None:
    onward, now, before, true = Onward(), 0, 0, 0
    for replaced, more in steps:
        now = more if not replaced else now + more
        true += more
        ((_, shown),) = onward([counter((("a",), now))])[0].samples
        assert isinstance(shown, int)
        assert before <= shown <= true
        before = shown


def test_only_counters_are_carried() -> None:
    onward = Onward()
    onward([counter((("a",), 10)), gauge(10)])
    carried = onward([counter((("a",), 3), (("b",), 1)), gauge(3)])
    assert [family.samples for family in carried] == [[(("a",), 13), (("b",), 1)], [((), 3)]]

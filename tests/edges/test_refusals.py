"""Refusals on their way into the history: noted at once, entered together, kept while the books cannot be written."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from bursar.call.events import CallRefused, CandidateRefused, HoldsExpired
from bursar.call.history import CallQuery, Refusal
from bursar.edges import refusals
from bursar.edges.refusals import LAST_PLACE, RefusalRecorder
from bursar.edges.stores.history import MemoryHistory
from bursar.errors import LimitExceededError, QueueFullError, StoreUnavailableError

NOW_MS = 1_800_000_000_000
SCOPES = {"provider": "openai", "model": "openai/gpt-4o", "key": "ci"}


class Flaky(MemoryHistory):
    """A history that cannot be written while `down`; `batches`: how many refusals came at a time."""

    def __init__(self) -> None:
        super().__init__(list)
        self.down = False
        self.batches: list[int] = []

    def record(self, refusals: Sequence[Refusal], now_ms: int) -> None:
        if self.down:
            raise StoreUnavailableError("the disk is full")
        self.batches.append(len(refusals))
        super().record(refusals, now_ms)


@pytest.fixture
def history() -> Flaky:
    return Flaky()


def recorder_of(history: Flaky, pause_seconds: float = 3_600) -> RefusalRecorder:
    return RefusalRecorder(history, lambda: NOW_MS, pause_seconds)


def refused(call_id: str = "c1", **fields: Any) -> CallRefused:
    error = LimitExceededError(
        "Limit 'keys': needs 1,\n 0 free.", limit="keys", meter="requests", needed=1, capacity=9, retry_after_seconds=2
    )
    return CallRefused(call_id, "openai", "gpt-4o", fields.get("error", error), 40, SCOPES)


def test_refusals_are_entered_with_what_was_in_the_way(history: Flaky) -> None:
    recorder = recorder_of(history)
    recorder(CandidateRefused("c1", 7, "groq", "llama", QueueFullError("full"), 3, SCOPES))
    recorder(refused())
    recorder(HoldsExpired(()))
    recorder.flush()
    (record,) = history.calls(CallQuery())
    first, last = record.refusals
    assert (first.place, first.code, first.binding, first.final, first.wait_ms) == (7, "queue_full", "", False, 3)
    assert (last.place, last.code, last.binding, last.final) == (LAST_PLACE, "rate_limit_exceeded", "keys", True)
    assert (last.message, last.at_ms, last.scopes) == ("Limit 'keys': needs 1, 0 free.", NOW_MS, SCOPES)
    recorder.close()


def test_what_comes_together_is_entered_together(history: Flaky) -> None:
    recorder = recorder_of(history)
    for number in range(50):
        recorder(refused(f"c{number}"))
    recorder.close()
    assert history.batches == [50]
    recorder.close()
    assert history.batches == [50]


def test_the_thread_enters_them_without_being_asked_and_ends(history: Flaky) -> None:
    recorder = recorder_of(history, pause_seconds=0.001)
    recorder(refused())
    thread = recorder._thread
    assert thread is not None
    thread.join(30)
    assert not thread.is_alive()
    assert history.batches == [1]


def test_what_cannot_be_written_is_kept(history: Flaky) -> None:
    recorder = recorder_of(history)
    history.down = True
    recorder(refused("c1"))
    with pytest.raises(StoreUnavailableError):
        recorder.flush()
    recorder(refused("c2"))
    history.down = False
    recorder.flush()
    assert [record.call_id for record in history.calls(CallQuery())] == ["c2", "c1"]
    recorder.close()


def test_in_a_flood_the_newest_are_kept(history: Flaky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "WAITING_MAX", 3)
    recorder = recorder_of(history)
    for number in range(5):
        recorder(refused(f"c{number}"))
    recorder.close()
    assert [record.call_id for record in history.calls(CallQuery())] == ["c4", "c3", "c2"]


def test_where_no_thread_can_be_had_the_next_one_or_the_end_enters_them(
    history: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    recorder = recorder_of(history)
    monkeypatch.setattr(threading.Thread, "start", fail)
    recorder(refused())
    recorder.close()
    assert history.batches == [1]

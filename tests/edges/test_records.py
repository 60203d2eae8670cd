"""Asking for records: how often, how fast, and when to give up."""

from __future__ import annotations

import pytest

from bursar.call.exchange import Answer, Failed
from bursar.edges.records import Absent, Found, Records, Unanswered


class Desk:
    """A provider that answers as it is told, and a clock that moves only by pauses."""

    def __init__(self, *answers: Answer | Failed) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.pauses: list[float] = []
        self.now = 100.0

    def get(self, url: str) -> Answer | Failed:
        self.asked.append(url)
        return self.answers.pop(0)

    def pause(self, seconds: float) -> None:
        self.pauses.append(round(seconds, 3))
        self.now += seconds

    def records(self, per_second: float = 1000.0) -> Records:
        return Records(self, "http://p/v1/generation", per_second=per_second, timer=lambda: self.now, pause=self.pause)


def answer(status: int, body: bytes = b"{}", **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def test_a_record_that_is_there() -> None:
    desk = Desk(answer(200, b'{"data":{}}'))
    assert desk.records().find("gen/1 &x") == Found(b'{"data":{}}')
    assert desk.asked == ["http://p/v1/generation?id=gen%2F1%20%26x"]
    assert desk.pauses == []


def test_a_record_that_is_not_there() -> None:
    assert Desk(answer(404)).records().find("gen-1") == Absent()


@pytest.mark.parametrize(
    "passing", [answer(429), answer(500), answer(503), answer(408), Failed("timeout", True, "slow")]
)
def test_a_busy_provider_is_asked_again(passing: Answer | Failed) -> None:
    desk = Desk(passing, passing, answer(200))
    assert desk.records().find("gen-1") == Found(b"{}")
    assert desk.pauses == [0.5, 1.0]


def test_its_advice_is_taken() -> None:
    desk = Desk(answer(429, retry_after="7"), answer(200))
    assert isinstance(desk.records().find("gen-1"), Found)
    assert desk.pauses == [7.0]


def test_a_pause_that_is_too_long_ends_the_asking() -> None:
    desk = Desk(answer(429, b'{"error":{"message":"slow down"}}', retry_after="3600"))
    assert desk.records().find("gen-1") == Unanswered("slow down (429)")
    assert desk.pauses == []


def test_it_is_asked_four_times_at_most() -> None:
    desk = Desk(*[Failed("connect", False, "refused")] * 9)
    assert desk.records().find("gen-1") == Unanswered("refused")
    assert len(desk.asked) == 4
    assert desk.pauses == [0.5, 1.0, 2.0]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 301])
def test_a_refusal_is_not_asked_again(status: int) -> None:
    desk = Desk(answer(status, b'{"error":{"message":"no"}}'), answer(200))
    found = desk.records().find("gen-1")
    assert isinstance(found, Unanswered)
    assert found.detail.endswith(f"base_url to where its API is ({status})" if status == 301 else f"no ({status})")
    assert len(desk.asked) == 1


def test_questions_keep_their_distance() -> None:
    desk = Desk(*[answer(404)] * 3)
    records = desk.records(per_second=4)
    for _ in range(3):
        records.find("gen-1")
    assert desk.pauses == [0.25, 0.25]

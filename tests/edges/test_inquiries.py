"""Records asked for in the background: soon, again while there is none, never for ever, and once more at the end."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from bursar.call.books import Adjust, Fact
from bursar.call.events import CallEnded, CostWarned
from bursar.call.exchange import Answer, Failed
from bursar.edges.inquiries import TRY_AFTER_SECONDS, Inquiries, Source
from bursar.errors import StoreUnavailableError
from tests.client.colours import until
from tests.telemetry.facts import fact_of

SOURCE = Source("http://p/v1/generation", "/generation", {"authorization": "Bearer k"}, "p:1")
AT_ONCE = (0.0, 0.0, 0.0)


def record(name: str, cost: str = "0.00002") -> Answer:
    return Answer(
        200, {}, b'{"data":{"id":"%b","total_cost":%b,"native_tokens_prompt":9}}' % (name.encode(), cost.encode())
    )


class Provider:
    """A provider's records: what it answers for each id, in order, the last for ever."""

    def __init__(self, **answers: list[Answer | Failed]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.opened = 0
        self.closed = 0
        self.hangs = threading.Event()
        self.hangs.set()

    def __call__(self, provider: str, headers: Mapping[str, str]) -> Any:
        self.opened += 1
        return self

    def get(self, url: str) -> Answer | Failed:
        name = url.partition("?id=")[2]
        self.asked.append(name)
        self.hangs.wait(20)
        answers = self.answers.get(name, [Answer(404, {}, b"")])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def close(self) -> None:
        self.closed += 1
        self.hangs.set()


def uncertain(name: str, **changes: Any) -> CallEnded:
    fields = {"attempt_id": f"{name}.0", "request_id": name, "certain": False, "charged_nano_usd": 90_000, **changes}
    return CallEnded(fact_of(**fields))


def asking(provider: Provider, **options: Any) -> tuple[Inquiries, list[Adjust]]:
    """Inquiries at this provider, and the corrections that they make."""
    made: list[Adjust] = []

    def source_of(fact: Fact) -> Source | None:
        return SOURCE if fact.provider == "openai" else None

    options.setdefault("after_seconds", AT_ONCE)
    return Inquiries(source_of, made.append, open_lookup=provider, **options), made


async def test_the_record_of_an_uncertain_attempt_corrects_its_charge() -> None:
    inquiries, made = asking(Provider(a=[record("a")]))
    inquiries(uncertain("a"))
    await until(lambda: made)
    (correction,) = made
    assert correction.fact.attempt_id == "a.0"
    assert (correction.fact.charged_nano_usd, correction.fact.certain) == (20_000, True)
    assert correction.evidence == "openai:/generation:a"
    inquiries.close()


async def test_nothing_else_is_asked_for() -> None:
    provider = Provider()
    inquiries, made = asking(provider)
    for event in (
        CallEnded(fact_of(request_id="a")),
        uncertain("a", request_id=""),
        uncertain("a", provider="groq"),
        CostWarned(uncertain("a").fact, 1),
    ):
        inquiries(event)
    inquiries.close()
    assert (provider.asked, made) == ([], [])


async def test_a_late_record_is_asked_for_again_and_one_that_never_comes_is_given_up() -> None:
    provider = Provider(late=[Answer(404, {}, b""), Answer(404, {}, b""), record("late")])
    inquiries, made = asking(provider)
    inquiries(uncertain("late"))
    inquiries(uncertain("never"))
    await until(lambda: made and not len(inquiries) and provider.asked.count("never") == len(AT_ONCE))
    assert [one.fact.request_id for one in made] == ["late"]
    assert provider.asked.count("late") == 3
    await until(lambda: inquiries._thread is None)
    inquiries(uncertain("late"))
    await until(lambda: len(made) == 2)
    assert provider.opened == 1, "one connection for all"
    inquiries.close()
    assert provider.closed == 1


@pytest.mark.parametrize(
    "said", [b"<html>", b"{}", b'{"data":{"id":"another","total_cost":1}}', b'{"data":{"id":"a"}}']
)
async def test_what_is_no_evidence_changes_nothing(said: bytes) -> None:
    provider = Provider(a=[Answer(200, {}, said)])
    inquiries, made = asking(provider)
    inquiries(uncertain("a"))
    await until(lambda: len(provider.asked) == len(AT_ONCE))
    inquiries.close()
    assert made == []


async def test_a_provider_that_does_not_answer_is_not_pressed() -> None:
    provider = Provider(a=[Answer(401, {}, b"")], b=[record("b")])
    inquiries, made = asking(provider)
    provider.hangs.clear()
    for name in ("a", "b", "c"):
        inquiries(uncertain(name))
    provider.hangs.set()
    await until(lambda: not len(inquiries) and inquiries._thread is None)
    assert provider.asked == ["a"], "the others were not even asked for"
    inquiries.close()
    assert made == []


async def test_closing_asks_once_more_and_at_once() -> None:
    provider = Provider(a=[record("a")])
    inquiries, made = asking(provider, after_seconds=(600.0, 600.0))
    for name in ("a", "b"):
        inquiries(uncertain(name))
    assert len(inquiries) == 2
    inquiries.close()
    assert [one.fact.request_id for one in made] == ["a"]
    assert sorted(provider.asked) == ["a", "b"]
    inquiries(uncertain("a"))
    inquiries.close()
    assert len(made) == 1, "after its end nothing is taken"


async def test_closing_waits_for_no_provider_that_hangs() -> None:
    provider = Provider(a=[record("a")])
    inquiries, _ = asking(provider)
    provider.hangs.clear()
    inquiries(uncertain("a"))
    await until(lambda: provider.asked)
    inquiries.close(0.01)
    assert provider.closed == 1


async def test_only_so_many_wait() -> None:
    inquiries, _ = asking(Provider(), after_seconds=(600.0,), waiting_max=2)
    for name in ("a", "b", "c"):
        inquiries(uncertain(name))
    assert len(inquiries) == 2
    inquiries.close()


async def test_books_that_fail_are_tried_again_and_a_fault_ends_nothing() -> None:
    outcomes: list[Exception | None] = [StoreUnavailableError("full"), None, ZeroDivisionError(), None]
    made: list[str] = []

    def correct(correction: Adjust) -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome
        made.append(correction.fact.request_id)

    provider = Provider(a=[record("a")], b=[record("b")], c=[record("c")])
    inquiries = Inquiries(lambda fact: SOURCE, correct, after_seconds=AT_ONCE, open_lookup=provider)
    for name in ("a", "b", "c"):
        inquiries(uncertain(name))
        await until(lambda: not len(inquiries) and inquiries._thread is None)
    inquiries.close()
    assert made == ["a", "c"]


def test_it_is_given_up_after_a_minute() -> None:
    assert 30 < sum(TRY_AFTER_SECONDS) < 120

"""The flow where money does not reach for the bytes of the input: counted once, and only where that can change it."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.call.admission import ADMISSIONS_MAX
from bursar.call.books import Ended, Fact, Granted, Void
from bursar.call.effects import Admit, Open
from bursar.call.plan import Cap, Plan, Tightening
from bursar.errors import BudgetExceededError, LimitExceededError, PriceUnknownError, QueueFullError
from bursar.rules.allowances import Allowance, Demand, Denial
from bursar.rules.money import PICO_PER_NANO
from tests.call.scripted import BODY, ELASTIC, ENDED, OK, Script, granted, plan_of

MONEY = Allowance("day", "nano_usd", 10**6, "calendar", "day")
RATE = Allowance("rpm", "requests", 1, "bucket", "minute")
LATER = Denial(RATE, "", "over", "later", 1, 0, 1, 0, 1, wait_ms=500)
# By bytes the input claims 900,000 nano-USD, by tokens 200,000; ten tokens of output 40,000.
BYTES_NANO_USD, TOKENS_NANO_USD, OUTPUT_NANO_USD = 900_000, 200_000, 40_000


def loose(body: bytes = BODY, *, gains: bool = True, **changes: Any) -> Plan:
    """A plan whose input is bounded by bytes, and can be bounded by tokens."""
    plan = plan_of(body)
    bytes_demand = plan.demand._replace(base_pico_usd=BYTES_NANO_USD * PICO_PER_NANO)
    tokens_demand = plan.demand._replace(base_pico_usd=TOKENS_NANO_USD * PICO_PER_NANO)
    tightening = Tightening(lambda: tokens_demand if gains else None, ("o200k_base",), len(body))
    return plan_of(body, **{"demand": bytes_demand, "tightening": tightening, "wait_until_ms": 10_000, **changes})


def counted(plan: Plan) -> Demand | None:
    """What a driver answers."""
    assert plan.tightening is not None
    return plan.tightening.demand()


def tight(plan: Plan) -> Plan:
    demand = counted(plan)
    assert demand is not None
    return plan_of(plan.request.body, demand=demand)


def denial(plan: Plan, *, left: int, held: int = 0, **changes: Any) -> Denial:
    needed = plan.demand.nano_usd(plan.demand.output_tokens_min)
    comeback = "on_release" if held else "never"
    fields = {"reason": "over", "comeback": comeback, "needed": needed, "left": left, "held": held, **changes}
    return Denial(MONEY, "", spent=10**6 - left - held, limit=10**6, **fields)


def demands(script: Script) -> list[int | None]:
    return [effect.reserve.demand.base_pico_usd for effect in script.effects if isinstance(effect, Admit)]


def test_what_fits_at_once_is_never_counted() -> None:
    plan = loose()
    script = Script(plan)
    script.play([True, granted(plan), OK, ENDED])
    assert script.kinds == ["Seat", "Admit", "Open", "Settle"]


@pytest.mark.parametrize("held", [0, 500_000])
def test_a_call_denied_for_its_bytes_is_tried_again_by_its_tokens(held: int) -> None:
    plan = loose()
    script = Script(plan)
    again = granted(tight(plan), "call.1")
    result = script.play([True, denial(plan, left=300_000, held=held), None, counted(plan), True, again, OK, ENDED])
    assert script.kinds == ["Seat", "Admit", "Unseat", "Tighten", "Seat", "Admit", "Open", "Settle"]
    assert demands(script) == [BYTES_NANO_USD * PICO_PER_NANO, TOKENS_NANO_USD * PICO_PER_NANO]
    assert [effect.reserve.attempt_id for effect in script.effects if isinstance(effect, Admit)] == ["call.0", "call.1"]
    assert result.receipt.held_nano_usd == TOKENS_NANO_USD + OUTPUT_NANO_USD
    assert script.last(Open).exchange.body == plan.request.body


def test_what_is_refused_by_its_tokens_says_so_and_is_not_counted_twice() -> None:
    plan = loose()
    script = Script(plan)
    by_tokens = denial(tight(plan), left=100_000, affordable_output_tokens=3)
    with pytest.raises(BudgetExceededError, match="needs up to") as raised:
        script.play([True, denial(plan, left=100_000), None, counted(plan), True, by_tokens, None])
    assert script.kinds.count("Tighten") == 1
    assert raised.value.needed_nano_usd == TOKENS_NANO_USD + OUTPUT_NANO_USD
    assert "$0.00024" in raised.value.message
    assert "max_tokens=3" in raised.value.message


def test_held_money_is_waited_for_by_tokens() -> None:
    plan = loose()
    script = Script(plan)
    held = {"left": 100_000, "held": 700_000}
    outcomes = [True, denial(plan, **held), None, counted(plan), True, denial(tight(plan), **held), None]
    script.play([*outcomes, granted(tight(plan), "call.2"), True, OK, ENDED])
    assert script.kinds[-5:] == ["Unseat", "Admit", "Seat", "Open", "Settle"]
    assert demands(script)[1:] == [TOKENS_NANO_USD * PICO_PER_NANO] * 2
    assert script.last(Admit).until_ms == 10_000


def test_an_output_that_is_too_dear_alone_is_refused_without_counting() -> None:
    plan = loose()
    script = Script(plan)
    with pytest.raises(BudgetExceededError):
        script.play([True, denial(plan, left=OUTPUT_NANO_USD - 1), None])
    assert script.kinds == ["Seat", "Admit", "Unseat"]


@pytest.mark.parametrize(
    ("reason", "error"), [("price", PriceUnknownError), ("missing", BudgetExceededError), ("over", LimitExceededError)]
)
def test_what_is_not_about_money_is_not_counted(reason: str, error: type[Exception]) -> None:
    plan = loose(wait_until_ms=0)
    script = Script(plan)
    denied = LATER if reason == "over" else denial(plan, left=10**6, reason=reason)
    with pytest.raises(error):
        script.play([True, denied, None])
    assert "Tighten" not in script.kinds


def test_a_call_that_waited_for_a_limit_and_then_lacks_money_is_counted() -> None:
    plan = loose()
    script = Script(plan)
    again = granted(tight(plan), "call.2")
    script.play([True, LATER, None, denial(plan, left=300_000), counted(plan), True, again, OK, ENDED])
    assert script.kinds[:6] == ["Seat", "Admit", "Unseat", "Admit", "Tighten", "Seat"]


def test_where_counting_gains_nothing_the_bytes_stay_the_bound() -> None:
    plan = loose(gains=False)
    script = Script(plan)
    held = denial(plan, left=100_000, held=900_000)
    script.play([True, held, None, None, True, held, None, granted(plan, "call.2"), True, OK, ENDED])
    assert demands(script) == [BYTES_NANO_USD * PICO_PER_NANO] * 3
    assert script.kinds.count("Tighten") == 1


def squeezed(plan: Plan, output_tokens: int, attempt_id: str = "call.0") -> Granted:
    grant = granted(plan, attempt_id, output_tokens=output_tokens)
    return Granted(attempt_id, 0, grant.nano_usd, output_tokens, grant.claims, capped_by="day")


def test_a_grant_that_left_little_for_output_is_exchanged_for_a_better_one() -> None:
    plan = loose(ELASTIC)
    script = Script(plan)
    better = squeezed(tight(plan), 90, "call.1")
    result = script.play([True, squeezed(plan, 20), counted(plan), Ended("call.0"), better, OK, ENDED])
    assert script.kinds == ["Seat", "Admit", "Tighten", "Void", "Admit", "Open", "Settle"]
    assert next(effect for effect in script.effects if isinstance(effect, Void)).attempt_id == "call.0"
    assert b'"max_tokens":90' in script.last(Open).exchange.body
    assert (result.receipt.output_tokens_max, result.receipt.capped_by) == (90, "day")


def test_a_grant_is_kept_where_counting_gains_nothing() -> None:
    plan = loose(ELASTIC, gains=False)
    script = Script(plan)
    script.play([True, squeezed(plan, 20), None, OK, ENDED])
    assert script.kinds == ["Seat", "Admit", "Tighten", "Open", "Settle"]


def test_a_grant_that_somebody_else_took_meanwhile_is_waited_for() -> None:
    plan = loose(ELASTIC)
    script = Script(plan)
    gone = denial(tight(plan), left=10, held=900_000)
    outcomes = [True, squeezed(plan, 20), counted(plan), Ended("call.0"), gone, None, True, gone, None]
    script.play([*outcomes, squeezed(tight(plan), 30, "call.3"), True, OK, ENDED])
    assert script.kinds[3:] == ["Void", "Admit", "Unseat", "Seat", "Admit", "Unseat", "Admit", "Seat", "Open", "Settle"]
    assert script.kinds.count("Tighten") == 1


def test_a_grant_with_more_for_output_than_for_input_is_taken() -> None:
    plan = loose(ELASTIC, demand=plan_of(ELASTIC).demand._replace(base_pico_usd=80 * 4_000 * PICO_PER_NANO))
    for grant in (squeezed(plan, 81), granted(plan, output_tokens=20)):
        script = Script(plan)
        script.play([True, grant, OK, ENDED])
        assert "Tighten" not in script.kinds


def cap(nano_usd: int) -> tuple[Cap, ...]:
    return (Cap("max_cost_usd", nano_usd),)


def test_a_cap_is_kept_by_tokens_where_it_is_not_by_bytes() -> None:
    plan = loose(caps=cap(300_000))
    script = Script(plan)
    script.play([counted(plan), True, granted(tight(plan)), OK, ENDED])
    assert script.kinds[0] == "Tighten"
    assert demands(script) == [TOKENS_NANO_USD * PICO_PER_NANO]


def test_a_cap_that_is_not_kept_by_tokens_says_what_they_need() -> None:
    plan = loose(caps=cap(220_000))
    script = Script(plan)
    with pytest.raises(BudgetExceededError, match="max_cost_usd") as raised:
        script.play([counted(plan)])
    assert raised.value.needed_nano_usd == TOKENS_NANO_USD + OUTPUT_NANO_USD
    assert raised.value.affordable_output_tokens == 5


def test_a_cap_below_the_output_alone_is_refused_without_counting() -> None:
    script = Script(loose(caps=cap(OUTPUT_NANO_USD - 1)))
    with pytest.raises(BudgetExceededError):
        script.play([])


def test_an_output_that_a_cap_squeezed_is_counted_for_before_anything_is_held() -> None:
    narrow = plan_of(ELASTIC).demand._replace(
        base_pico_usd=BYTES_NANO_USD * PICO_PER_NANO, output_tokens_max=25, capped_by="c"
    )
    plan = loose(ELASTIC, demand=narrow, caps=cap(1_000_000))
    script = Script(plan)
    script.play([counted(plan), True, granted(tight(plan)), OK, ENDED])
    assert script.kinds[0] == "Tighten"
    assert b'"max_tokens":100' in script.last(Open).exchange.body
    roomy = narrow._replace(output_tokens_max=226)
    script = Script(loose(ELASTIC, demand=roomy, caps=cap(2_000_000)))
    script.play([True, granted(plan), OK, ENDED])
    assert "Tighten" not in script.kinds


def test_a_call_without_a_tightening_is_refused_as_it_is() -> None:
    script = Script(loose(tightening=None))
    with pytest.raises(BudgetExceededError):
        script.play([True, denial(loose(), left=300_000), None])


def test_however_the_tries_are_counted_they_come_to_an_end() -> None:
    plan = loose()
    script = Script(plan)
    held = denial(plan, left=300_000, held=900_000)
    without_seat = [True, held, None, granted(tight(plan), "call.2"), False, Ended("call.2")]
    outcomes: list[Any] = [True, denial(plan, left=300_000), None, counted(plan)]
    with pytest.raises(QueueFullError):
        script.play(outcomes + without_seat * (ADMISSIONS_MAX // 2))
    ids = [effect.reserve.attempt_id for effect in script.effects if isinstance(effect, Admit)]
    assert len(ids) == len(set(ids)) == ADMISSIONS_MAX + 1


def test_what_became_of_an_attempt_is_a_lesson() -> None:
    lessons: list[Fact] = []
    plan = plan_of(learn=lessons.append)
    Script(plan).play([True, granted(plan), OK, ENDED])
    assert [fact.usage.input_tokens for fact in lessons] == [5]

"""Drive the flow with a list of outcomes: no event loop, no sockets, a clock that is told the time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bursar.call.books import Balance, Claim, Ended, Granted
from bursar.call.effects import Admit, Effect, Open, Relay, Seat, Unseat
from bursar.call.events import Event
from bursar.call.exchange import Answer
from bursar.call.flow import Caller, Flow, Result, govern
from bursar.call.plan import Cap, Plan
from bursar.call.route import Route, Single
from bursar.catalog.providers import Provider
from bursar.rules.estimate import demand_of
from bursar.rules.prices import PriceCard
from bursar.wire.dialect import Target
from bursar.wire.openai_chat import OpenAIChat

CARD = PriceCard.of({"input": "1.00", "cached_input": "0.50", "output": "4.00"}, version="test")
BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":10}'
ELASTIC = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
REPLY = (
    b'{"id":"r1","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ho"},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}'
)
REPLY_NANO_USD = 5 * 1000 + 2 * 4000
BALANCE = Balance("day", "", "nano_usd", "day", REPLY_NANO_USD, 0, 10**9, 86_400_000)


def plan_of(
    body: bytes = BODY,
    *,
    provider: Provider | None = None,
    caps: tuple[Cap, ...] = (),
    priced: bool = True,
    wait_until_ms: int = 0,
    **changes: Any,
) -> Plan:
    dialect = OpenAIChat()
    request = dialect.parse(body)
    size = dialect.size(request, output_tokens_min=16, output_tokens_max=100)
    card = CARD if priced else None
    cap = min(caps, key=lambda one: one.nano_usd, default=None)
    demand = demand_of(size, [card], cap_nano_usd=cap.nano_usd if cap else None, cap=cap.name if cap else "")
    fields: dict[str, Any] = {
        "call_id": "call",
        "provider": provider or Provider("p", "http://p/v1"),
        "model": "m",
        "dialect": dialect,
        "request": request,
        "target": Target("m"),
        "url": "http://p/v1/chat/completions",
        "headers": {"Authorization": "Bearer k"},
        "scopes": {"provider": "p", "model": "p/m"},
        "demand": demand,
        "price": lambda model: card,
        "start_ms": 0,
        "wait_until_ms": wait_until_ms,
        "caps": caps,
    }
    return Plan(**{**fields, **changes})


def granted(
    plan: Plan, attempt_id: str = "call.0", *, output_tokens: int | None = None, budgets: bool = True
) -> Granted:
    tokens = plan.demand.output_tokens_max if output_tokens is None else output_tokens
    nano_usd = plan.demand.nano_usd(tokens)
    claims = (Claim("day", "", 0, "nano_usd", nano_usd),) if budgets else ()
    return Granted(attempt_id, 0, nano_usd, tokens, claims)


class Script:
    """A flow under way: the effects it has asked for, the events it has told, and its end."""

    def __init__(self, plan: Plan, *, gone: bool = False, route: Route | None = None) -> None:
        self.events: list[Event] = []
        self.effects: list[Effect] = []
        self.now_ms = 0
        self.caller = Caller()
        self.caller.gone = gone
        self.flow: Flow = govern(route or Single(plan), self.caller, lambda: self.now_ms, self.events.append)

    def play(self, outcomes: Sequence[Any]) -> Result:
        """Send the outcomes in, in order, and return the result (or raise what the flow raises)."""
        outcome: Any = None
        script = list(outcomes)
        while True:
            try:
                effect = self.flow.send(outcome)
            except StopIteration as stop:
                assert not script, f"outcomes left over: {script}"
                result: Result = stop.value
                return result
            self.effects.append(effect)
            assert script, f"no outcome for {effect}"
            outcome = script.pop(0)

    @property
    def kinds(self) -> list[str]:
        return [type(effect).__name__ for effect in self.effects]

    def last(self, kind: type[Any]) -> Any:
        return next(effect for effect in reversed(self.effects) if isinstance(effect, kind))


OK = Answer(200, {"x-request-id": "req"}, REPLY)
ENDED = Ended("call.0", (BALANCE,))

__all__ = ["Admit", "Open", "Relay", "Script", "Seat", "Unseat", "granted", "plan_of"]

"""What the tests of every store share: a clock that is set by hand, and short ways to make operations and facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bursar.call.books import Balance, Expire, Expired, Fact, Operation, Outcome, Reserve, Settle
from bursar.edges.stores.memory import MemoryStore
from bursar.edges.stores.sqlite import SqliteStore
from bursar.rules.allowances import Allowance, Demand

# A Wednesday noon, UTC.
NOON_MS = 1_795_003_200_000 - 1_795_003_200_000 % 86_400_000 + 43_200_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
SCOPES = {"provider": "openai", "model": "openai/gpt-4o", "key": "k1", "user": "ann", "team": "search"}


class Clock:
    """The time in epoch milliseconds, as the test says."""

    def __init__(self, now_ms: int = NOON_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def pass_ms(self, milliseconds: int) -> None:
        """Let time pass, or go back."""
        self.now_ms += milliseconds


class Books:
    """A store with its clock: operations one at a time."""

    def __init__(self, store: Any) -> None:
        self.store: Any = store
        self.clock = Clock()

    def define(self, *allowances: Allowance, source: str = "bursar.yaml") -> None:
        """Make these the allowances of a source."""
        self.store.define(allowances, source, self.clock)

    def do(self, operation: Operation) -> Any:
        """The outcome of one operation."""
        return self.do_all([operation])[0]

    def do_all(self, operations: Sequence[Operation]) -> list[Outcome]:
        """The outcomes of operations in one transaction."""
        outcomes: list[Outcome] = self.store.transact(operations, self.clock)
        return outcomes

    def reserve(self, attempt_id: str, nano_usd: int = 100, **options: Any) -> Any:
        """Reserve exactly `nano_usd`."""
        return self.do(reserve(attempt_id, nano_usd, **options))

    def settle(self, attempt_id: str, cost: int, **options: Any) -> Any:
        """Settle at a certain cost, unless told otherwise."""
        return self.do(Settle(fact(attempt_id, cost, **{"reserved_ms": self.clock.now_ms, **options})))

    def balance(self, name: str, subject: str = "") -> tuple[int, int]:
        """(spent, held) of an allowance in its current window."""
        found: list[Balance] = self.store.balances(self.clock.now_ms, names=[name], subject=subject)
        return (found[0].spent, found[0].held) if found else (0, 0)

    def crash(self) -> Expired:
        """The process dies, and another one opens the books: what has expired by it."""
        if isinstance(self.store, MemoryStore):
            self.store.orphan()
            expired: Expired = self.do(Expire())
            return expired
        path = self.store.path
        self.store.close()
        self.store = SqliteStore(path, clock=self.clock)
        recovered: Expired = self.store.recovered
        return recovered

    def problems(self) -> list[str]:
        """What does not add up."""
        found: list[str] = self.store.check(self.clock.now_ms)
        return found


def reserve(
    attempt_id: str,
    nano_usd: int | None = 100,
    *,
    scopes: Mapping[str, str] = SCOPES,
    tokens: tuple[int, int] = (0, 0),
    refunds: bool = True,
) -> Reserve:
    """A reservation of exactly `nano_usd` (None: the price is not known) and (input, output) tokens for limits."""
    demand = Demand(None if nano_usd is None else nano_usd * 1000, 0, 1000, 1000, *tokens)
    return Reserve(attempt_id, attempt_id, scopes, demand, refunds)


def fact(attempt_id: str, charged: int = 100, **options: Any) -> Fact:
    """The fact of an attempt that cost `charged`; certain unless told otherwise."""
    certain = options.get("certain", True)
    values: dict[str, Any] = {
        "attempt_id": attempt_id,
        "call_id": attempt_id,
        "provider": "openai",
        "model": "gpt-4o",
        "scopes": SCOPES,
        "ending": "ok" if certain else "interrupted",
        "bound_nano_usd": 100,
        "charged_nano_usd": charged,
        "cost_nano_usd": charged if certain else None,
        "cost_source": "computed" if certain else "unknown",
        "certain": certain,
        "reserved_ms": NOON_MS,
        "ended_ms": NOON_MS + 900,
    }
    return Fact(**{**values, **options})


def budget(name: str = "day", capacity: int = 1000, **options: Any) -> Allowance:
    """A budget a day, unless told otherwise."""
    values: dict[str, Any] = {"meter": "nano_usd", "shape": "calendar", "period": "day"}
    return Allowance(name, capacity=capacity, **{**values, **options})

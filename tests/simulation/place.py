"""The surroundings of one call, in which everything that can happen next is chosen: books, seats, breaker, provider.

Shared by both colours. Keeps the provider's bill and what was sent, and says at the end what does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from dataclasses import replace as altered
from typing import Any

from msgspec.structs import replace

from bursar.call.books import Operation, Reserve, Void
from bursar.call.exchange import Answer, Exchange, Failed, Opened, Progress
from bursar.call.plan import Plan
from bursar.call.route import Failure, Step
from bursar.edges.http.pool import Pool, PoolLimits, Seat
from bursar.edges.stores.memory import MemoryStore
from bursar.errors import CircuitBreakerError, StoreUnavailableError
from bursar.rules.allowances import Allowance, Denial
from bursar.testing import chat_stream
from tests.call.scripted import BODY, OK, REPLY_NANO_USD, plan_of
from tests.simulation.fates import Fates

NOW_MS = 1_000_000
STREAM = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":10,"stream":true}'
MONEY = Allowance("day", "nano_usd", 10**9, "calendar", "day")
HELD = Denial(MONEY, "", "over", "on_release", 50_000, 10, 0, 10**9 - 10, 10**9, resets_at_ms=86_400_000)
PIECES = tuple(chat_stream(["ho", "ho"], model="m", input_tokens=5, output_tokens=2).pieces)
JSON = {"content-type": "application/json"}

# How an exchange ends that brings no reply, or a bad one, and whether it is billed all the same.
ENDINGS: dict[str, tuple[Answer | Failed, bool]] = {
    "no connection": (Failed("connect", False, "refused"), False),
    "silence": (Failed("timeout", True, "slow"), True),
    "a reset": (Failed("broken", True, "reset"), True),
    "429": (Answer(429, JSON, b"{}"), False),
    "502": (Answer(502, JSON, b"{}"), True),
    "nonsense": (Answer(200, JSON, b"{"), True),
    "no usage": (Answer(200, JSON, OK.body.replace(b"usage", b"usages")), True),
}
STREAMS: dict[str, tuple[Any, ...]] = {
    "whole": PIECES,
    "broken before output": (Failed("broken", True, "reset", 200),),
    "broken after output": (*PIECES[:2], Failed("broken", True, "reset", 200)),
    "without an end": PIECES[:2],
}


@dataclass
class Permits:
    """A breaker whose answers are chosen. out: permits that are out."""

    fates: Fates
    out: int = 0

    def allows(self) -> bool:
        """Whether a call may pass."""
        return self.fates.choose("breaker", "closed", "open") == "closed"

    def take(self) -> int | None:
        """A permit."""
        if self.fates.choose("permit", "free", "taken") == "taken":
            return None
        self.out += 1
        return 1

    def finish(self, permit: int, outcome: str, duration_ms: int) -> None:
        """It is back."""
        self.out -= permit

    def refusal(self) -> CircuitBreakerError:
        """The error of a call that may not pass."""
        return CircuitBreakerError("open", retry_after_seconds=1.0)


@dataclass
class Place:
    """The world of one run: books, seats, a provider and its bill. gone: the caller has been cancelled or has left."""

    fates: Fates
    stream: bool
    cancel: Callable[[], None] = lambda: None
    gone: bool = False
    bills: dict[str, int] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    owed: list[Operation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.permits = Permits(self.fates)
        self.pool = Pool(PoolLimits(max_connections=1))
        self.store = MemoryStore()
        self.store.define([MONEY], "test", self.clock)

    def clock(self) -> int:
        """Time does not pass."""
        return NOW_MS

    # The route: the same candidate again after a moment, then another one.

    def first(self) -> Plan:
        """The plan of the first attempt."""
        self.steps = [1, 0]
        body = STREAM if self.stream else BODY
        return plan_of(body, guard=self.permits, wait_until_ms=NOW_MS + 1_000, start_ms=NOW_MS)

    def after(self, failure: Failure, charged_nano_usd: int) -> Step | None:
        """What to try next."""
        if not self.steps or isinstance(failure.error, StoreUnavailableError):
            return None
        number = 1_000 if failure.fact is None else int(failure.fact.attempt_id.rpartition(".")[2]) + 1
        return Step(replace(failure.plan, attempt=number), self.steps.pop(0))

    # The books, as a teller hands them on.

    def answer(self, operation: Operation, until_ms: int) -> Any:
        """The outcome of an operation; what failed is repeated in the end."""
        options = ("taken", "full disk", "lost answer", "denied")
        fate = self.fates.choose(type(operation).__name__, *options[: 4 if isinstance(operation, Reserve) else 3])
        if fate == "denied":
            return altered(HELD, comeback="never") if until_ms else HELD
        outcome = None if fate == "full disk" else self.store.transact([operation], self.clock)[0]
        if fate == "taken":
            return outcome
        self.owed.append(Void(operation.attempt_id) if isinstance(operation, Reserve) else operation)
        return StoreUnavailableError(fate)

    def tell(self, operation: Operation) -> None:
        """An operation that nobody waits for."""
        self.owed.append(operation)

    # The connections.

    def seat(self, provider: str) -> Seat | None:
        """A seat, if one is free now."""
        return None if self.fates.choose("seat", "free", "taken") == "taken" else self.pool.take()

    def given(self) -> Seat | Failed:
        """What comes of waiting for one."""
        seat = self.pool.take() if self.fates.choose("wait for a seat", "given", "in vain") == "given" else None
        return seat or Failed("pool", False, "no connection was free")

    def serve(self, exchange: Exchange, progress: Progress) -> tuple[Answer | Failed | Opened, tuple[Any, ...]]:
        """What comes of a request."""
        attempt_id = exchange.headers["X-Client-Request-Id"]
        good = list(STREAMS) if self.stream else ["an answer"]
        fate = self.fates.choose("provider", *good, *ENDINGS)
        ending, billed = ENDINGS.get(fate, (OK, True))
        if isinstance(ending, Answer) or ending.sent:
            progress.sent = True
            if self.gone:
                self.wrong.append(f"{attempt_id} is sent for nobody")
            if attempt_id in self.sent or attempt_id not in self.store._holds:
                self.wrong.append(f"{attempt_id} is sent twice, or without a hold")
            self.sent.append(attempt_id)
        if billed:
            self.bills[attempt_id] = REPLY_NANO_USD
        return (Opened(200, {}), STREAMS[fate]) if fate in STREAMS else (ending, ())

    # The end.

    def problems(self) -> Iterator[str]:
        """What does not hold when everybody has ended."""
        for operation in self.owed:
            self.store.transact([operation], self.clock)
        yield from self.wrong
        yield from self.store.check(NOW_MS)
        if self.store._holds:
            yield f"{sorted(self.store._holds)} are held for ever"
        if self.pool.statistics(idle=0).seats_in_use:
            yield "a seat is kept"
        if self.permits.out:
            yield f"{self.permits.out} permits are not back"
        rows = self.store._rows
        for attempt_id in self.sent:
            row, billed = rows.get(attempt_id), self.bills.get(attempt_id, 0)
            if row is None or row.charged_nano_usd < billed or (row.certain and row.charged_nano_usd != billed):
                yield f"{attempt_id} was billed {billed}, and the books say {row}"
        for attempt_id, row in rows.items():
            if attempt_id not in self.sent and row.charged_nano_usd:
                yield f"{attempt_id} is charged and was never sent"


class Body:
    """The pieces of a stream, for both colours."""

    def __init__(self, place: Place, pieces: tuple[Any, ...], seat: Seat) -> None:
        self.place, self.pieces, self.seat = place, list(pieces), seat

    def next(self) -> Any:
        """A piece, or how the stream ended."""
        piece = self.pieces.pop(0) if self.pieces else b""
        if not piece or isinstance(piece, Failed):
            self.pieces = [piece]
            self.seat.release()
        return piece

    def began(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Let go."""
        self.pieces = [Failed("cancelled", True, "let go", 200)]
        self.seat.release()

    abort = close

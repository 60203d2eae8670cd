"""A provider that bills, limits and fails, by chance and by its weather, and keeps its own account of it all.

It shares no code with what it is held against: tokens, prices and limits are a few lines of integers. What it bills is
decided when a request arrives, whatever becomes of its reply: that is the worst that a real one does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as altered
from random import Random
from typing import Any, NamedTuple

from bursar.call.exchange import Answer, Exchange, Failed

# What a reply may have of output when nobody sets a limit: as much as an unknown model is taken to give.
OUTPUT_TOKENS_MAX = 4_096
MINUTE_MS = 60_000
JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream"}

# How often an exchange goes wrong, in each kind of weather.
WEATHER = {"well": 0.0, "calm": 0.03, "stormy": 0.45, "down": 1.0}
REFUSED = Failed("connect", False, "connection refused")


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices in nano-USD a token, and limits a minute (0: none)."""

    input_nano_usd: int
    output_nano_usd: int
    requests_per_minute: int = 0
    tokens_per_minute: int = 0


class Whole(NamedTuple):
    """A reply that comes at once, after so many seconds."""

    seconds: float
    answer: Answer | Failed


class Streamed(NamedTuple):
    """A reply in pieces: seconds before its head, and each piece with the seconds before it."""

    seconds: float
    pieces: Sequence[tuple[float, bytes | Failed]]


@dataclass(slots=True)
class Asked:
    """What a request asks for, as the provider reads it. text: what it will answer."""

    attempt_id: str
    model: str
    stream: bool
    input_tokens: int
    output_tokens: int
    text: Sequence[str]
    usage: Mapping[str, Any] = field(default_factory=dict)


class Bucket:
    """A limit that refills continuously; counts units x milliseconds."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.level = 0
        self.at_ms = 0

    def wait_ms(self, amount: int, now_ms: int) -> int:
        """How long until there is room; takes it when there is."""
        level = max(self.level - (now_ms - self.at_ms) * self.capacity, 0)
        over = level + (amount - self.capacity) * MINUTE_MS
        if over > 0:
            return -(-over // self.capacity)
        self.level, self.at_ms = level + amount * MINUTE_MS, now_ms
        return 0


class SimulatedProvider:
    """One provider. bills: nano-USD by attempt. answered: the whole text by attempt. refused: by its limits."""

    def __init__(
        self,
        name: str,
        tariff: Tariff,
        weather: Sequence[tuple[float, str]],
        chance: Random,
        tell: Callable[[str], None],
    ) -> None:
        """weather: (seconds, kind) each, from when on it is of which kind."""
        self.name = name
        self.bills: dict[str, int] = {}
        self.answered: dict[str, str] = {}
        self.refused = 0
        self._tariff = tariff
        self._weather = weather
        self._chance = chance
        self._tell = tell
        self._requests = Bucket(tariff.requests_per_minute)
        self._tokens = Bucket(tariff.tokens_per_minute)
        self._faults: Mapping[str, Callable[[Asked], Whole | Streamed]] = {
            "silent": self._silent,
            "reset": self._reset,
            "status": self._status,
            "rejected": self._rejected,
            "nonsense": self._nonsense,
            "no_usage": self._no_usage,
            "absurd_usage": self._absurd_usage,
            "broken": self._broken,
            "slow": self._slow,
        }

    def weather(self, seconds: float) -> str:
        """The weather of a moment."""
        return next((kind for since, kind in reversed(self._weather) if seconds >= since), "calm")

    def connects(self, seconds: float) -> bool:
        """Whether a connection comes about."""
        weather = self.weather(seconds)
        return not (self._chance.random() < (0.6 if weather == "down" else WEATHER[weather] / 8))

    def serve(self, exchange: Exchange, seconds: float) -> Whole | Streamed:
        """A request has arrived: bill it, and say what comes of it."""
        asked = self._read(exchange)
        limited = self._limited(asked, int(seconds * 1000))
        if limited is not None:
            return limited
        asked.usage = {
            "prompt_tokens": asked.input_tokens,
            "completion_tokens": asked.output_tokens,
            "total_tokens": asked.input_tokens + asked.output_tokens,
        }
        if self._chance.random() >= WEATHER[self.weather(seconds)]:
            self._bill(asked)
            return self._reply(asked)
        fault = self._chance.choice(list(self._faults))
        served = self._faults[fault](asked)
        self._tell(f"{self.name}: {asked.attempt_id} meets {fault}, billed {self.bills.get(asked.attempt_id, 0)}")
        return served

    def _read(self, exchange: Exchange) -> Asked:
        body: dict[str, Any] = json.loads(exchange.body)
        attempt_id = exchange.headers["X-Client-Request-Id"]
        size = sum(len(message["content"]) for message in body["messages"])
        limit = body.get("max_tokens", OUTPUT_TOKENS_MAX)
        output_tokens = limit if self._chance.random() < 0.2 else self._chance.randint(1, limit)
        text = [f"[{attempt_id} {place}]" for place in range(self._chance.randint(1, 5))]
        return Asked(attempt_id, body["model"], exchange.stream, self._chance.randint(1, size), output_tokens, text)

    def _limited(self, asked: Asked, now_ms: int) -> Whole | None:
        """The refusal of a request that is over a limit."""
        wait_ms = self._requests.wait_ms(1, now_ms) if self._requests.capacity else 0
        if not wait_ms and self._tokens.capacity:
            wait_ms = self._tokens.wait_ms(asked.input_tokens + asked.output_tokens, now_ms)
        if not wait_ms:
            return None
        self.refused += 1
        headers = JSON if self._chance.random() < 0.3 else {**JSON, "retry-after-ms": str(wait_ms)}
        return Whole(0.05, Answer(429, headers, error_body("rate_limit_exceeded", "rate_limit_error")))

    def _bill(self, asked: Asked, sometimes: float = 1.0) -> None:
        if sometimes == 1.0 or self._chance.random() < sometimes:
            tariff = self._tariff
            nano_usd = asked.input_tokens * tariff.input_nano_usd + asked.output_tokens * tariff.output_nano_usd
            self.bills[asked.attempt_id] = self.bills.get(asked.attempt_id, 0) + nano_usd
        self.answered[asked.attempt_id] = "".join(asked.text)

    def _head_seconds(self) -> float:
        return self._chance.uniform(0.02, 1.5)

    def _reply(self, asked: Asked, *, with_usage: bool = True) -> Whole | Streamed:
        usage = asked.usage if with_usage else None
        if asked.stream:
            return Streamed(self._head_seconds(), self._paced(events(asked.model, asked.text, usage)))
        return Whole(self._head_seconds() * 2, Answer(200, JSON, whole_body(asked.model, "".join(asked.text), usage)))

    def _paced(self, pieces: Sequence[bytes | Failed]) -> list[tuple[float, bytes | Failed]]:
        return [(self._chance.uniform(0.0, 0.4), piece) for piece in pieces]

    # The faults: each says what comes of a request, and whether it is billed.

    def _silent(self, asked: Asked) -> Whole:
        self._bill(asked, 0.5)
        return Whole(3_600.0, REFUSED)

    def _reset(self, asked: Asked) -> Whole:
        self._bill(asked, 0.5)
        return Whole(self._head_seconds(), Failed("broken", True, "connection reset"))

    def _status(self, asked: Asked) -> Whole:
        status = self._chance.choice((500, 502, 503, 504, 524, 529))
        if status in (502, 504, 524):
            self._bill(asked, 0.5)
        headers = JSON if self._chance.random() < 0.7 else {**JSON, "retry-after": "3"}
        return Whole(self._head_seconds(), Answer(status, headers, b"<html>" if status == 502 else b"{}"))

    def _rejected(self, asked: Asked) -> Whole:
        status, code, kind = self._chance.choice((
            (400, "context_length_exceeded", "invalid_request_error"),
            (400, "content_filter", "invalid_request_error"),
            (401, "invalid_api_key", "invalid_request_error"),
            (402, "insufficient_credits", "payment_required"),
            (404, "model_not_found", "invalid_request_error"),
            (429, "rate_limit_exceeded", "rate_limit_error"),
            (429, "insufficient_quota", "insufficient_quota"),
        ))  # fmt: skip
        return Whole(0.05, Answer(status, JSON, error_body(code, kind)))

    def _nonsense(self, asked: Asked) -> Whole | Streamed:
        self._bill(asked)
        if asked.stream:
            pieces = [b"data: {not json\n\n", *events(asked.model, asked.text, asked.usage)]
            return Streamed(self._head_seconds(), self._paced(pieces))
        body = self._chance.choice((b"", b"<html>oops</html>", b'{"choices": [', b"[]"))
        return Whole(self._head_seconds(), Answer(200, JSON, body))

    def _no_usage(self, asked: Asked) -> Whole | Streamed:
        self._bill(asked)
        return self._reply(asked, with_usage=False)

    def _absurd_usage(self, asked: Asked) -> Whole | Streamed:
        """A usage that cannot be: whatever it says, it is not what is billed."""
        self._bill(asked)
        wrong = self._chance.choice((-7, "many", 10**12, 0.5, None))
        name = self._chance.choice(list(asked.usage))
        return self._reply(altered(asked, usage={**asked.usage, name: wrong}))

    def _broken(self, asked: Asked) -> Whole | Streamed:
        """A reply that ends too early: anywhere, cleanly or not, in silence or with an error in its midst."""
        self._bill(asked)
        if not asked.stream:
            return Whole(self._head_seconds(), Failed("broken", True, "the body was cut", 200, JSON))
        pieces: list[bytes | Failed] = list(events(asked.model, asked.text, asked.usage))
        at = self._chance.randrange(len(pieces))
        error = b"data: " + error_body("server_error", "server_error") + b"\n\n"
        end = self._chance.choice((b"", Failed("broken", True, "connection reset"), error, None))
        paced = self._paced([*pieces[:at], end] if end is not None else pieces[:at])
        return Streamed(self._head_seconds(), paced if end is not None else [*paced, (3_600.0, b"")])

    def _slow(self, asked: Asked) -> Whole | Streamed:
        self._bill(asked)
        return self._reply(asked)._replace(seconds=self._chance.uniform(5, 40))


def error_body(code: str, kind: str) -> bytes:
    """An error in OpenAI's form."""
    return json.dumps({"error": {"message": "no", "type": kind, "code": code}}).encode()


def whole_body(model: str, text: str, usage: Mapping[str, Any] | None) -> bytes:
    """A chat completion in OpenAI's form."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body: dict[str, Any] = {"id": "r", "object": "chat.completion", "model": model, "choices": [choice]}
    return json.dumps(body if usage is None else {**body, "usage": usage}).encode()


def events(model: str, text: Sequence[str], usage: Mapping[str, Any] | None) -> list[bytes]:
    """The same as a stream: an announcement, a piece for each text, the end, the usage, the terminator."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, *({"content": one} for one in text), {}]
    chunk = {"id": "r", "object": "chat.completion.chunk", "model": model}
    said: list[dict[str, Any]] = [
        {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}]}
        for delta in deltas
    ]
    if usage is not None:
        said.append({**chunk, "choices": [], "usage": usage})
    return [*(b"data: " + json.dumps(one).encode() + b"\n\n" for one in said), b"data: [DONE]\n\n"]

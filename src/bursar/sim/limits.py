"""The rate limits that the simulator enforces, and how providers show them.

A limit is a leaky bucket: it holds `capacity` units, and drains `capacity` units a period, continuously. Levels are
integers in units x milliseconds, so nothing drifts. OpenAI counts both per minute and charges what a request could
use; Groq counts requests a day and gives back what was not used. Off by default: then the headers show limits too
large to matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MINUTE_MS = 60_000
DAY_MS = 86_400_000
UNLIMITED = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Requests and tokens a minute (Groq: requests a day). None is unlimited."""

    requests: int | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        for number in (self.requests, self.tokens):
            if number is not None and not 1 <= number <= UNLIMITED:
                raise ValueError(f"rate limit {number}: expected 1 to {UNLIMITED}")


@dataclass(frozen=True, slots=True)
class RateDenial:
    """Which limit binds: `wait_ms` is None where waiting is no use, because the request is larger than the limit."""

    meter: str
    limit: int
    used: int
    requested: int
    wait_ms: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """One limit as a provider shows it: what fits now, and how long until it is as if unused."""

    meter: str
    capacity: int
    remaining: int
    reset_ms: int


class Bucket:
    """One leaky bucket. `now_ms` never goes backwards inside: earlier times count as the latest seen."""

    def __init__(self, capacity: int, period_ms: int) -> None:
        self.capacity = capacity
        self.period_ms = period_ms
        self._level = 0
        self._at_ms = 0

    def drain(self, now_ms: int) -> None:
        if now_ms > self._at_ms:
            self._level = max(0, self._level - (now_ms - self._at_ms) * self.capacity)
            self._at_ms = now_ms

    def wait_ms(self, units: int) -> int | None:
        """How long until this many units fit: 0 is now, None is never."""
        if units > self.capacity:
            return None
        over = self._level + units * self.period_ms - self.capacity * self.period_ms
        return max(0, -(-over // self.capacity))

    def take(self, units: int) -> None:
        """Add units; negative ones give back."""
        self._level = max(0, self._level + units * self.period_ms)

    @property
    def remaining(self) -> int:
        return max(0, self.capacity - self.used)

    @property
    def used(self) -> int:
        return -(-self._level // self.period_ms)

    @property
    def reset_ms(self) -> int:
        return -(-self._level // self.capacity)


class Meter:
    """The limits of one provider, requests and tokens together: both are taken or neither is."""

    def __init__(self, limit: RateLimit, request_period_ms: int, now_ms: Callable[[], int], speed: int = 1) -> None:
        """`speed`: how many times faster than real ones the limits refill; a burst stays as large as it is."""
        self.enforced = limit.requests is not None or limit.tokens is not None
        self._requests = Bucket(limit.requests or UNLIMITED, request_period_ms // speed)
        self._tokens = Bucket(limit.tokens or UNLIMITED, MINUTE_MS // speed)
        self._now_ms = now_ms

    def take(self, tokens: int) -> RateDenial | None:
        """Take one request of so many tokens, or say which limit refuses it."""
        if not self.enforced:
            return None
        for name, bucket, units in (("requests", self._requests, 1), ("tokens", self._tokens, tokens)):
            bucket.drain(self._now_ms())
            wait = bucket.wait_ms(units)
            if wait != 0:
                return RateDenial(name, bucket.capacity, bucket.used, units, wait)
        self._requests.take(1)
        self._tokens.take(tokens)
        return None

    def give_back(self, tokens: int) -> None:
        if self.enforced and tokens > 0:
            self._tokens.drain(self._now_ms())
            self._tokens.take(-tokens)

    def standings(self) -> list[Standing]:
        """Where requests and tokens stand now."""
        found = []
        for name, bucket in (("requests", self._requests), ("tokens", self._tokens)):
            bucket.drain(self._now_ms())
            found.append(Standing(name, bucket.capacity, bucket.remaining, bucket.reset_ms))
        return found


def openai_headers(meter: Meter, at_ms: int) -> list[tuple[str, str]]:
    """x-ratelimit headers of OpenAI's and Groq's form."""
    if not meter.enforced:
        return _UNLIMITED_HEADERS
    return [
        (f"x-ratelimit-{part}-{standing.meter}", value)
        for standing in meter.standings()
        for part, value in (
            ("limit", str(standing.capacity)),
            ("remaining", str(standing.remaining)),
            ("reset", go_duration(standing.reset_ms)),
        )
    ]


_UNLIMITED_HEADERS = [
    (f"x-ratelimit-{part}-{name}", value)
    for name in ("requests", "tokens")
    for part, value in (("limit", str(UNLIMITED)), ("remaining", str(UNLIMITED - 1)), ("reset", "1ms"))
]


def go_duration(wait_ms: int) -> str:
    """Milliseconds as Go prints a duration.

    >>> [go_duration(ms) for ms in (0, 5, 15_246, 90_951, 360_000, 86_400_000)]
    ['0s', '5ms', '15.246s', '1m30.951s', '6m0s', '24h0m0s']
    """
    if wait_ms == 0:
        return "0s"
    if wait_ms < 1000:
        return f"{wait_ms}ms"
    minutes, ms = divmod(wait_ms, MINUTE_MS)
    seconds = f"{ms // 1000}.{ms % 1000:03d}".rstrip("0").rstrip(".") + "s"
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + seconds


def parse_limit(text: str) -> tuple[str, RateLimit]:
    """Read `provider:requests=N,tokens=N` (either may be left out). Raises ValueError with one clear line.

    >>> parse_limit("openai:requests=60")
    ('openai', RateLimit(requests=60, tokens=None))
    """
    provider, _, pairs = text.partition(":")
    numbers: dict[str, int] = {}
    for pair in pairs.split(","):
        name, _, value = pair.strip().partition("=")
        if name not in ("requests", "tokens") or not value.isdecimal():
            raise ValueError(f"limit {text!r}: expected provider:requests=N,tokens=N")
        numbers[name] = int(value)
    return provider, RateLimit(numbers.get("requests"), numbers.get("tokens"))

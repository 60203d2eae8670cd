"""What a provider's headers say about its rate limits: which meter, how much remains, when it is whole again.

Decides what a header means, never what follows from it. What is absurd, missing, negative or contradictory is passed
over, and nothing is ever raised: a call does not fail for its headers. Nothing is parsed where no such header is.

OpenAI and Groq refill continuously, and their resets are the time until a limit is full again, as Go prints durations;
Azure writes whole seconds there, and -1 for what it does not know; Anthropic an instant; Cerebras seconds with a
fraction; Mistral none. OpenRouter shows a limit on its own 429s only: a window, and the instant at which it ends.

Source: recorded replies, SDKs and documentation of the providers, November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, NamedTuple

__all__ = ["Observation", "ObservedMeter", "ObservedPeriod", "go_duration_ms", "read_rate_headers"]

ObservedMeter = Literal["requests", "tokens", "input_tokens", "output_tokens"]
ObservedPeriod = Literal["second", "minute", "hour", "day", ""]

# Beyond these a number is no limit but a fault, or says that there is none. Longer texts are not even read.
_DIGITS_MAX = 12
LIMIT_MAX = 10**_DIGITS_MAX - 1
RESET_MS_MAX = 31 * 86_400_000

# From the shortest to the longest.
_PERIOD_MS: Mapping[ObservedPeriod, int] = {"second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000}


class Observation(NamedTuple):
    """One limit of a provider as it stood when the provider answered.

    period: "" where it was not said. limit: units a period, 0 where it was not said. remaining: 0 to `limit`.
    resets_in_ms: until all of it is free again; None where it was not said. at_once: nothing comes back before that,
    and then everything (a window, or the wait that a refusal asks for); else it refills continuously.
    """

    meter: ObservedMeter
    period: ObservedPeriod
    limit: int
    remaining: int
    resets_in_ms: int | None = None
    at_once: bool = False

    @property
    def refills(self) -> bool:
        """Whether it says itself that it refills continuously: its reset is as long as what was used takes to return.

        >>> [Observation("tokens", "minute", 100, 40, resets_in_ms).refills for resets_in_ms in (36_000, 9_000)]
        [True, False]
        """
        if self.resets_in_ms is None or self.at_once:
            return False
        returns_in_ms = (self.limit - self.remaining) * _PERIOD_MS.get(self.period, 0) // self.limit
        # A tenth less is still that: part of a unit may have come back already.
        return self.resets_in_ms * 10 >= returns_in_ms * 9


class _Names(NamedTuple):
    """The headers of one limit. period: "" where it follows from the numbers."""

    meter: ObservedMeter
    period: ObservedPeriod
    limit: str
    remaining: str
    reset: str


def _names(meter: ObservedMeter, period: ObservedPeriod, pattern: str) -> _Names:
    return _Names(meter, period, *(pattern.format(part) for part in ("limit", "remaining", "reset")))


_ANTHROPIC: tuple[tuple[ObservedMeter, str], ...] = (
    ("requests", "requests"),
    ("tokens", "tokens"),
    ("input_tokens", "input-tokens"),
    ("output_tokens", "output-tokens"),
)
_FORMS: Mapping[str, tuple[_Names, ...]] = {
    "openai": (
        _names("requests", "", "x-ratelimit-{}-requests"),
        _names("tokens", "", "x-ratelimit-{}-tokens"),
    ),
    "groq": (
        _names("requests", "day", "x-ratelimit-{}-requests"),
        _names("tokens", "minute", "x-ratelimit-{}-tokens"),
    ),
    "anthropic": tuple(_names(meter, "minute", f"anthropic-ratelimit-{kind}-{{}}") for meter, kind in _ANTHROPIC),
    "mistral": (
        _names("requests", "minute", "x-ratelimit-{}-req-minute"),
        _names("tokens", "minute", "x-ratelimit-{}-tokens-minute"),
    ),
    "cerebras": (
        _names("requests", "day", "x-ratelimit-{}-requests-day"),
        _names("tokens", "minute", "x-ratelimit-{}-tokens-minute"),
    ),
    "openrouter": (_names("requests", "", "x-ratelimit-{}"),),
}
# Forms whose resets are instants, to be held against the reply's date.
_DATED = frozenset({"anthropic", "openrouter"})


def read_rate_headers(form: str, headers: Mapping[str, str]) -> tuple[Observation, ...]:
    """What `headers` (lower-case names) say in a provider's form (`Provider.rate_headers`); () for nothing.

    >>> read_rate_headers("groq", {"x-ratelimit-limit-tokens": "6000", "x-ratelimit-remaining-tokens": "5000",
    ...                            "x-ratelimit-reset-tokens": "10s"})
    (Observation(meter='tokens', period='minute', limit=6000, remaining=5000, resets_in_ms=10000, at_once=False),)
    """
    found: list[Observation] = []
    sent: datetime | None = None
    for names in _FORMS.get(form, ()):
        said = headers.get(names.limit)
        if said is None:
            continue
        limit, remaining = _count(said), _count(headers.get(names.remaining, ""))
        if not limit or remaining is None or remaining > limit:
            continue
        reset = headers.get(names.reset, "")
        if form in _DATED:
            sent = sent or _date(headers.get("date", ""))
            observation = _instant(names, limit, remaining, reset, sent)
        else:
            observation = _lasting(names, limit, remaining, reset)
        if observation is not None:
            found.append(observation)
    return tuple(found)


def _lasting(names: _Names, limit: int, remaining: int, reset: str) -> Observation | None:
    """A reset that is a duration: Go's, or seconds."""
    resets_in_ms = go_duration_ms(reset)
    period = names.period
    if not period:
        # Azure, and servers after OpenAI's pattern: whole seconds tell nothing about a period, which is a minute there.
        by_numbers = resets_in_ms is not None and reset[-1] == "s"
        period = _period(limit, limit - remaining, resets_in_ms or 0) if by_numbers else "minute"
    return Observation(names.meter, period, limit, remaining, resets_in_ms) if period else None


def _period(limit: int, used: int, resets_in_ms: int) -> ObservedPeriod:
    """The period of a limit that is `used` so far and full again in `resets_in_ms`; "" where the numbers do not say.

    OpenAI shows the limit of the minute or that of the day under one name. A reset is used x period / limit: less where
    part of a unit has come back already, and a millisecond more by rounding. So it is the shortest that is long enough.
    """
    if not used:
        return ""
    longest_ms = (resets_in_ms - 1) * limit // used
    for period, period_ms in _PERIOD_MS.items():
        if period_ms >= longest_ms:
            return period
    return ""


def _instant(names: _Names, limit: int, remaining: int, reset: str, sent: datetime | None) -> Observation | None:
    """A reset that is an instant, beside the reply's own date: Anthropic's RFC 3339, OpenRouter's milliseconds.

    The provider's clock is compared with itself: ours may be wrong.
    """
    resets_in_ms = None
    try:
        instant = datetime.fromtimestamp(int(reset) / 1000, UTC) if reset.isdecimal() else datetime.fromisoformat(reset)
        if sent is not None:
            resets_in_ms = round((instant - sent).total_seconds() * 1000)
    except (ValueError, TypeError, OverflowError, OSError):
        pass
    if resets_in_ms is not None and not 0 <= resets_in_ms <= RESET_MS_MAX:
        resets_in_ms = None
    if names.period:
        return Observation(names.meter, names.period, limit, remaining, resets_in_ms)
    if resets_in_ms is None:
        return None
    # OpenRouter's window ends with the minute or with the day.
    return Observation(names.meter, "minute" if resets_in_ms <= 60_000 else "day", limit, remaining, resets_in_ms, True)


_GO_DURATION = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,4})m)?(?:(\d{1,9}(?:\.\d{1,18})?)(s|ms|us|µs|ns|))?", re.ASCII)
_UNIT_MS = {"s": 1_000.0, "": 1_000.0, "ms": 1.0, "us": 1e-3, "µs": 1e-3, "ns": 1e-6}


def go_duration_ms(text: str) -> int | None:
    """A duration as Go prints it, or plain seconds, in whole milliseconds, rounded up; None for anything else.

    >>> [go_duration_ms(text) for text in ("5ms", "15.246s", "6m0s", "1m30.951s", "11.38", "-1", "soon")]
    [5, 15246, 360000, 90951, 11380, None, None]
    """
    match = _GO_DURATION.fullmatch(text)
    if match is None or not text:
        return None
    hours, minutes, rest, unit = match.groups()
    # In floats a whole number of milliseconds may come out a hair too large, and must not become one more.
    found_ms = -int(-(float(rest) * _UNIT_MS[unit] - 1e-6) // 1) if rest else 0
    found_ms += int(hours or 0) * 3_600_000 + int(minutes or 0) * 60_000
    return found_ms if found_ms <= RESET_MS_MAX else None


def _count(text: str) -> int | None:
    """A whole number from 0 on; None for anything else (Azure's -1, a fraction, a word)."""
    if not text.isdecimal() or len(text) > _DIGITS_MAX:
        return None
    return int(text)


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _date(text: str) -> datetime | None:
    """An HTTP date in the one form that servers may send (RFC 9110, 5.6.7); None for anything else."""
    try:
        day, month, year = int(text[5:7]), _MONTHS.index(text[8:11]) + 1, int(text[12:16])
        hour, minute, second = int(text[17:19]), int(text[20:22]), int(text[23:25])
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError:
        return None

"""What a key of OpenRouter may still spend: GET /key, and GET /credits for management keys.

Decides what of it is worth a warning. Amounts are shown, never booked. Source: OpenRouter's API reference, November
2026.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bursar.cli.excerpts import excerpt, hidden
from bursar.cli.symptoms import Symptom
from bursar.rules.money import NANO_PER_USD, format_usd

if TYPE_CHECKING:
    from bursar.call.exchange import Answer, Failed
    from bursar.catalog.providers import Provider

_CHECK = "account"
CREDITS = "/credits"
# A key that ends within these should be replaced while it works.
DAYS_LEFT_MIN = 7

Get = Callable[[str], "Answer | Failed"]


def account(row: Provider, get: Get, key: str, now: datetime | None = None) -> Iterator[Symptom]:
    """What a provider says of the key and of the account behind it. get: one GET below the provider's address."""
    from bursar.call.exchange import Answer

    answer = get(row.account)
    if not isinstance(answer, Answer):
        found = f"{row.name} does not say what the key may spend: {hidden(answer.detail, key)}"
        yield Symptom(_CHECK, "warning", found)
        return
    data = _data(answer)
    if data is None:
        back = excerpt(answer.status, answer.headers, answer.body, key)
        refused = answer.status in (401, 403)
        mend = f"the key is refused: look at api_key of llm.providers.{row.name}" if refused else ""
        found = f"{row.name} answered GET {row.account} with {back}"
        yield Symptom(_CHECK, "error" if refused else "warning", found, mend)
        return
    yield from _key(row.name, data)
    yield from _expiry(row.name, data.get("expires_at"), now or datetime.now(UTC))
    yield _credits(row.name, get(CREDITS))


def _key(name: str, data: Mapping[str, Any]) -> Iterator[Symptom]:
    used, limit, left = _usd(data.get("usage")), _usd(data.get("limit")), _usd(data.get("limit_remaining"))
    found = f"the key of {name} has used {used or 'an unknown amount'}"
    resets = data.get("limit_reset")
    every = f", reset {resets}" if isinstance(resets, str) and resets.isalpha() else ""
    if limit is None:
        yield Symptom(_CHECK, "ok", f"{found}; it has no limit of its own")
    elif _number(data.get("limit_remaining")) > 0:
        yield Symptom(_CHECK, "ok", f"{found}; {left} of its {limit} are left{every}")
    else:
        mend = f"raise the limit of the key at {name}"
        yield Symptom(_CHECK, "error", f"{found}; nothing of its {limit} is left{every}: calls will fail", mend)
    if data.get("is_free_tier") is True:
        found = f"the account of {name} never bought credits: its free models answer few requests a day"
        yield Symptom(_CHECK, "note", found)


def _expiry(name: str, expires_at: object, now: datetime) -> Iterator[Symptom]:
    if not isinstance(expires_at, str):
        return
    try:
        ends = datetime.fromisoformat(expires_at)
    except ValueError:
        return
    ends = ends if ends.tzinfo else ends.replace(tzinfo=UTC)
    shown = ends.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    if ends <= now:
        yield Symptom(_CHECK, "error", f"the key of {name} ended on {shown}", f"make a new key at {name}")
    elif (ends - now).days < DAYS_LEFT_MIN:
        yield Symptom(_CHECK, "warning", f"the key of {name} ends on {shown}", f"make a new key at {name}")


def _credits(name: str, answer: Answer | Failed) -> Symptom:
    from bursar.call.exchange import Answer

    if isinstance(answer, Answer) and answer.status in (401, 403):
        found = f"how much credit the account of {name} has left is only told to a management key, which this is not"
        return Symptom(_CHECK, "note", found)
    data = _data(answer) if isinstance(answer, Answer) else None
    if data is None or _usd(data.get("total_credits")) is None:
        return Symptom(_CHECK, "note", f"{name} does not say how much credit is left")
    left = _number(data.get("total_credits")) - _number(data.get("total_usage"))
    found = f"{_usd(left)} of {_usd(data.get('total_credits'))} credits are left at {name}"
    if left > 0:
        return Symptom(_CHECK, "ok", found)
    return Symptom(_CHECK, "error", f"{found}: calls will fail with status 402", f"buy credits at {name}")


def _data(answer: Answer) -> dict[str, Any] | None:
    from bursar.wire.lenient import as_dict, decode

    data = as_dict(decode(answer.body)).get("data") if answer.status == 200 else None
    return data if isinstance(data, dict) else None


def _number(value: object) -> Decimal:
    """A number that a provider sent; 0 for anything else, so that nothing is said to be left that is not there."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return Decimal(0)
    number = Decimal(value)
    return number if number.is_finite() else Decimal(0)


def _usd(value: object) -> str | None:
    if value is None:
        return None
    cents = int(_number(value) * 100)
    return format_usd(cents * NANO_PER_USD // 100)

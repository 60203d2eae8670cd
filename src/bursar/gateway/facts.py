"""What a call came to, as headers: id, model, provider, cost, what is left, what bound it.

Decides which names facts have, and that a caller's key is told only of budgets that bound its call.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.call.books import Balance, Granted
    from bursar.call.flow import Result
    from bursar.call.plan import Plan

Pairs = list[tuple[bytes, bytes]]

NANO_DIGITS = 9
# Names of models and budgets come back; what is remembered of them is bounded.
NAMES_REMEMBERED_MAX = 4_096
# What SDKs read as the id of a request, by format; other formats have OpenAI's.
_ID_NAMES = {"anthropic_messages": b"request-id"}
_ID_NAME = b"x-request-id"
_CERTAIN = {True: (b"x-bursar-cost-certain", b"true"), False: (b"x-bursar-cost-certain", b"false")}
_LIMIT_NAMES = {
    meter: tuple(b"x-ratelimit-%b-%b" % (what, meter.encode()) for what in (b"limit", b"remaining", b"reset"))
    for meter in ("requests", "tokens")
}
# Most calls are answered at once by whoever was asked first.
_NO_WAIT = (b"x-bursar-wait-ms", b"0")
_ONE_ATTEMPT = (b"x-bursar-attempts", b"1")


def facts_of(result: Result, dialect: str) -> Pairs:
    """The headers of a whole reply. The cost is that of all attempts; the budget is the one with the least left."""
    receipt = result.receipt
    earlier, wait_ms, budgets = receipt.earlier, receipt.wait_ms, receipt.budgets
    charged_nano_usd, certain = charged_of(result) if earlier else (receipt.charged_nano_usd, receipt.certain)
    call_id = receipt.call_id.encode()
    pairs = [
        (_ID_NAMES.get(dialect, _ID_NAME), call_id),
        (b"x-bursar-call-id", call_id),
        _named(b"x-bursar-model", receipt.model),
        _named(b"x-bursar-provider", receipt.provider),
        (b"x-bursar-cost-usd", usd_text(charged_nano_usd)),
        _CERTAIN[certain],
        (b"x-bursar-attempts", b"%d" % (1 + len(earlier))) if earlier else _ONE_ATTEMPT,
        (b"x-bursar-wait-ms", b"%d" % wait_ms) if wait_ms else _NO_WAIT,
    ]
    if budgets:
        least, left_nano_usd = budgets[0], budgets[0].left
        for other in budgets[1:]:
            left = other.left
            if left < left_nano_usd:
                least, left_nano_usd = other, left
        pairs.append(_named(b"x-bursar-budget", least.allowance))
        pairs.append((b"x-bursar-budget-remaining-usd", usd_text(left_nano_usd)))
    if receipt.capped_by and receipt.output_tokens_max:
        pairs.append((b"x-bursar-output-cap", b"%d" % receipt.output_tokens_max))
    return pairs + limits_of(receipt.limits, result.fact.ended_ms) if receipt.limits else pairs


def limits_of(limits: Sequence[Balance], now_ms: int) -> Pairs:
    """Limits in the form of OpenAI's headers: of each meter the one with the least left."""
    tightest: dict[str, Balance] = {}
    for limit in limits:
        known = tightest.get(limit.meter)
        if known is None or limit.left < known.left:
            tightest[limit.meter] = limit
    pairs: Pairs = []
    for meter, limit in tightest.items():
        limit_name, remaining_name, reset_name = _LIMIT_NAMES[meter]
        pairs.append((limit_name, b"%d" % limit.limit))
        pairs.append((remaining_name, b"%d" % max(limit.left, 0)))
        if limit.resets_at_ms is not None:
            pairs.append((reset_name, duration_text(max(limit.resets_at_ms - now_ms, 0))))
    return pairs


def duration_text(milliseconds: int) -> bytes:
    """A duration as OpenAI writes them.

    >>> [duration_text(ms) for ms in (0, 17, 1_000, 8_640, 360_000, 3_723_004)]
    [b'0s', b'17ms', b'1s', b'8.64s', b'6m0s', b'1h2m3.004s']
    """
    if 0 < milliseconds < 1_000:
        return b"%dms" % milliseconds
    minutes, rest = divmod(milliseconds, 60_000)
    whole, part = divmod(rest, 1_000)
    seconds = (b"%d.%03d" % (whole, part)).rstrip(b"0") if part else b"%d" % whole
    hours, minutes = divmod(minutes, 60)
    if hours:
        return b"%dh%dm%bs" % (hours, minutes, seconds)
    return b"%dm%bs" % (minutes, seconds) if minutes else seconds + b"s"


def facts_begun(plan: Plan, grant: Granted, dialect: str) -> Pairs:
    """The headers of a stream: what is known when it begins. Its cost is in the ledger once it has ended."""
    call_id = plan.call_id.encode()
    pairs = [
        (_ID_NAMES.get(dialect, _ID_NAME), call_id),
        (b"x-bursar-call-id", call_id),
        _named(b"x-bursar-model", plan.model),
        _named(b"x-bursar-provider", plan.provider.name),
        (b"x-bursar-wait-ms", b"%d" % max(grant.at_ms - plan.start_ms, 0)),
    ]
    if grant.capped_by:
        pairs.append(_named(b"x-bursar-budget", grant.capped_by))
        if grant.output_tokens:
            pairs.append((b"x-bursar-output-cap", b"%d" % grant.output_tokens))
    return pairs


def charged_of(result: Result) -> tuple[int, bool]:
    """What all attempts of a call are charged, in nano-USD, and whether that is the fact and no bound."""
    receipt = result.receipt
    charged_nano_usd, certain = receipt.charged_nano_usd, receipt.certain
    for earlier in receipt.earlier:
        if earlier.charged_nano_usd:
            charged_nano_usd, certain = charged_nano_usd + earlier.charged_nano_usd, False
    return charged_nano_usd, certain


def usd_text(nano_usd: int) -> bytes:
    """Dollars without a sign of currency, exactly.

    >>> usd_text(42_000), usd_text(5_000_000_000), usd_text(-1)
    (b'0.000042', b'5.00', b'-0.000000001')
    """
    if nano_usd < 0:
        return b"-" + usd_text(-nano_usd)
    digits = b"%010d" % nano_usd
    decimals = digits[-NANO_DIGITS:].rstrip(b"0")
    return digits[:-NANO_DIGITS] + b"." + (decimals if len(decimals) > 1 else decimals.ljust(2, b"0"))


@lru_cache(NAMES_REMEMBERED_MAX)
def _named(header: bytes, text: str) -> tuple[bytes, bytes]:
    """A header with a text that may stand in one: what is not plain ASCII becomes a question mark."""
    return header, text.encode("ascii", "replace") if text.isprintable() else b"?"

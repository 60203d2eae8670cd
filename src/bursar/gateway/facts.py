"""What a call came to, as headers: id, model, provider, cost, what is left, what bound it.

Decides which names facts have, and that a caller's key is told only of budgets that bound its call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar.call.books import Granted
    from bursar.call.flow import Result
    from bursar.call.plan import Plan

Pairs = list[tuple[bytes, bytes]]

NANO = 1_000_000_000
# What SDKs read as the id of a request, by format; other formats have OpenAI's.
_ID_NAMES = {"anthropic_messages": b"request-id"}
_ID_NAME = b"x-request-id"


def facts_of(result: Result, dialect: str) -> Pairs:
    """The headers of a whole reply. The cost is that of all attempts; the budget is the one with the least left."""
    receipt = result.receipt
    charged_nano_usd, certain = charged_of(result)
    call_id = receipt.call_id.encode()
    pairs = [
        (_ID_NAMES.get(dialect, _ID_NAME), call_id),
        (b"x-bursar-call-id", call_id),
        (b"x-bursar-model", header_text(receipt.model)),
        (b"x-bursar-provider", header_text(receipt.provider)),
        (b"x-bursar-cost-usd", usd_text(charged_nano_usd)),
        (b"x-bursar-cost-certain", b"true" if certain else b"false"),
        (b"x-bursar-attempts", b"%d" % (1 + len(receipt.earlier))),
        (b"x-bursar-wait-ms", b"%d" % receipt.wait_ms),
    ]
    budgets = receipt.budgets
    if budgets:
        least = budgets[0]
        for other in budgets:
            if other.left < least.left:
                least = other
        pairs.append((b"x-bursar-budget", header_text(least.allowance)))
        pairs.append((b"x-bursar-budget-remaining-usd", usd_text(least.left)))
    if receipt.capped_by and receipt.output_tokens_max:
        pairs.append((b"x-bursar-output-cap", b"%d" % receipt.output_tokens_max))
    return pairs


def facts_begun(plan: Plan, grant: Granted, dialect: str) -> Pairs:
    """The headers of a stream: what is known when it begins. Its cost is in the ledger once it has ended."""
    call_id = plan.call_id.encode()
    pairs = [
        (_ID_NAMES.get(dialect, _ID_NAME), call_id),
        (b"x-bursar-call-id", call_id),
        (b"x-bursar-model", header_text(plan.model)),
        (b"x-bursar-provider", header_text(plan.provider.name)),
        (b"x-bursar-wait-ms", b"%d" % max(grant.at_ms - plan.start_ms, 0)),
    ]
    if grant.capped_by:
        pairs.append((b"x-bursar-budget", header_text(grant.capped_by)))
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
    sign = b"-" if nano_usd < 0 else b""
    whole, rest = divmod(abs(nano_usd), NANO)
    return b"%b%d.%b" % (sign, whole, (b"%09d" % rest).rstrip(b"0").ljust(2, b"0"))


def header_text(text: str) -> bytes:
    """A text that may stand in a header: what is not plain ASCII becomes a question mark."""
    return text.encode("ascii", "replace") if text.isprintable() else b"?"

"""What a call came to, as headers: id, model, cost, what is left, what bound it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.rules.money import format_usd

if TYPE_CHECKING:
    from bursar.call.flow import Result

Pairs = list[tuple[bytes, bytes]]


def facts_of(result: Result) -> Pairs:
    """The headers of a whole reply. The cost is that of all attempts; the budget is the one with the least left."""
    receipt, fact = result.receipt, result.fact
    charged = fact.charged_nano_usd + sum([one.charged_nano_usd for one in receipt.earlier])
    certain = receipt.certain and not any(one.charged_nano_usd for one in receipt.earlier)
    pairs = [
        (b"x-bursar-call-id", receipt.call_id.encode()),
        (b"x-bursar-model", header_text(receipt.model)),
        (b"x-bursar-provider", header_text(receipt.provider)),
        (b"x-bursar-cost-usd", usd_text(charged)),
        (b"x-bursar-cost-certain", b"true" if certain else b"false"),
        (b"x-bursar-attempts", b"%d" % (1 + len(receipt.earlier))),
        (b"x-bursar-wait-ms", b"%d" % receipt.wait_ms),
    ]
    if receipt.budgets:
        least = min(receipt.budgets, key=lambda one: one.left)
        pairs.append((b"x-bursar-budget", header_text(least.allowance)))
        pairs.append((b"x-bursar-budget-remaining-usd", usd_text(least.left)))
    if receipt.capped_by and receipt.output_tokens_max:
        pairs.append((b"x-bursar-output-cap", b"%d" % receipt.output_tokens_max))
    return pairs


def usd_text(nano_usd: int) -> bytes:
    """Dollars without a sign: b"0.000042"."""
    return format_usd(nano_usd).replace("$", "", 1).encode()


def header_text(text: str) -> bytes:
    """A text that may stand in a header: what is not plain ASCII becomes a question mark."""
    return text.encode("ascii", "replace") if text.isprintable() else b"?"

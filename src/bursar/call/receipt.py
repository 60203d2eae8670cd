"""What a caller is told about the money of a call: what was held, what was charged, and what is left."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct

from bursar.call.books import Balance
from bursar.rules.money import format_usd, usd_of


class Earlier(NamedTuple):
    """An attempt before the one that answered: where, why it failed, and what it is charged (0 unless uncertain)."""

    provider: str
    model: str
    error_code: str
    charged_nano_usd: int


class Receipt(Struct, frozen=True, gc=False):
    """The money of one call. Amounts are nano-USD, times milliseconds.

    held_nano_usd: the most it could cost, set aside before it was sent. charged_nano_usd: what the budgets carry now:
    the cost, or the bound while the cost is not certain. budgets: every budget that bound the call, after it. limits:
    the same of limits on requests and tokens, for callers with keys of their own.
    output_tokens_max: the output limit that was in force, None when there was none; capped_by: the budget or cap that
    made it lower than the model's own, "" for none. settled: False when the books could not yet be written (the
    money stays held and the entry is repeated). would_refuse: observed budgets that enforcement would have refused.
    earlier: the attempts before the one that answered; what they are charged comes on top.
    """

    call_id: str
    attempt_id: str
    provider: str
    model: str
    held_nano_usd: int
    charged_nano_usd: int
    certain: bool
    budgets: tuple[Balance, ...] = ()
    limits: tuple[Balance, ...] = ()
    output_tokens_max: int | None = None
    capped_by: str = ""
    wait_ms: int = 0
    settled: bool = True
    would_refuse: tuple[str, ...] = ()
    earlier: tuple[Earlier, ...] = ()

    @property
    def held_usd(self) -> Decimal:
        """What was held, in dollars."""
        return usd_of(self.held_nano_usd)

    @property
    def charged_usd(self) -> Decimal:
        """What was charged, in dollars."""
        return usd_of(self.charged_nano_usd)

    def __str__(self) -> str:
        charged = "charged" if self.certain else "not certain; charged at most"
        lines = [f"held {format_usd(self.held_nano_usd)}, {charged} {format_usd(self.charged_nano_usd)}"]
        lines += [describe(balance) for balance in self.budgets]
        for one in self.earlier:
            lines.append(f"before it {one.provider}/{one.model} failed ({one.error_code}){_charged(one)}")
        if self.capped_by:
            lines.append(f"output limited to {self.output_tokens_max} tokens by {self.capped_by}")
        if not self.settled:
            lines.append("not yet in the books; it will be entered when they can be written")
        return "; ".join(lines)


def _charged(earlier: Earlier) -> str:
    amount = earlier.charged_nano_usd
    return f", charged at most {format_usd(amount)}" if amount else ""


def describe(balance: Balance) -> str:
    """A budget in one line: what is left, of how much, until when."""
    subject = f" ({balance.subject})" if balance.subject else ""
    until = f", resets {instant(balance.resets_at_ms)}" if balance.resets_at_ms else ""
    held = f", {format_usd(balance.held)} held" if balance.held else ""
    left, limit = format_usd(balance.left), format_usd(balance.limit)
    return f"budget {balance.allowance}{subject}: {left} left of {limit} a {balance.period}{held}{until}".replace(
        " a total", " in total"
    )


def instant(epoch_ms: int) -> str:
    """An instant as people and machines both read it: 2026-12-01T00:00Z.

    >>> instant(0)
    '1970-01-01T00:00Z'
    """
    moment = datetime.fromtimestamp(epoch_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%MZ" if epoch_ms % 60_000 == 0 else "%Y-%m-%dT%H:%M:%SZ")

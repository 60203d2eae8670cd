"""Money as integers: amounts in nano-USD, unit prices in pico-USD.

Nothing here rounds in the user's favour: a cost rounds up to the next nano-dollar, once an attempt. An int64 of
nano-USD reaches 9.2 billion dollars, which is `NANO_USD_MAX`; anything above is a mistake and refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_UP, Context, Decimal, InvalidOperation
from typing import Literal

NANO_PER_USD = 10**9
PICO_PER_NANO = 10**3
PICO_PER_USD = 10**12
NANO_USD_MAX = 2**63 - 1

# Reckoning with amounts must not depend on the precision that a program has set for its own decimals.
EXACT = Context(prec=200, rounding=ROUND_UP)

CostSource = Literal["provider", "computed", "estimated", "unknown"]


@dataclass(frozen=True, slots=True)
class Cost:
    """What an attempt cost.

    nano_usd: integer nano-USD, None when it is not known (never 0 for unknown).
    source: "provider" (it said so), "computed" (usage times price), "estimated", or "unknown".
    certain: True when the amount is the fact; False when it is a bound or an estimate that may yet be corrected.
    """

    nano_usd: int | None
    source: CostSource
    certain: bool

    @property
    def usd(self) -> Decimal | None:
        """The cost in dollars, exactly; None when unknown."""
        return None if self.nano_usd is None else usd_of(self.nano_usd)

    def __str__(self) -> str:
        mark = "" if self.certain or self.nano_usd is None else " at most"
        return format_usd(self.nano_usd) + mark


UNKNOWN_COST = Cost(None, "unknown", certain=False)
FREE = Cost(0, "computed", certain=True)


def nano_of(value: str | int | float | Decimal, *, round_up: bool = False) -> int:
    """Turn an amount of dollars into nano-USD, exactly, or rounded up where the caller says so.

    A float is read as the shortest decimal that prints it, so 0.1 is a tenth. Raises ValueError when the value is
    not a finite number, is negative, beyond `NANO_USD_MAX`, or finer than a nano-dollar (unless `round_up`).

    >>> nano_of("0.10"), nano_of(5), nano_of(0.000000001)
    (100000000, 5000000000, 1)
    """
    amount = decimal_of(value)
    if amount.is_signed() and amount != 0:
        raise ValueError(f"an amount of money cannot be negative: {value}")
    scaled = amount.scaleb(9, EXACT) if amount.adjusted() < 20 or not amount else None
    if scaled is None or scaled > NANO_USD_MAX:
        raise ValueError(f"an amount of money cannot exceed {NANO_USD_MAX // NANO_PER_USD} USD: {value}")
    whole = int(scaled)
    if whole == scaled:
        return whole
    if not round_up:
        raise ValueError(f"an amount of money cannot be finer than a nano-dollar: {value}")
    return whole + 1


def decimal_of(value: str | int | float | Decimal) -> Decimal:
    """Read a finite decimal number; raises ValueError for anything else (NaN, infinity, booleans, words)."""
    if isinstance(value, bool):
        raise ValueError(f"expected a number, got {value}")
    try:
        amount = value if isinstance(value, Decimal) else Decimal(str(value).replace("_", "").strip().removeprefix("$"))
    except InvalidOperation:
        raise ValueError(f"expected a number, got {value!r}") from None
    if not amount.is_finite():
        raise ValueError(f"expected a finite number, got {value}")
    return amount


def usd_of(nano_usd: int) -> Decimal:
    """Nano-USD as an exact Decimal of dollars.

    >>> usd_of(42_000)
    Decimal('0.000042')
    """
    # Adding nothing writes 1E+1 as 10.
    return EXACT.add(Decimal(nano_usd).scaleb(-9, EXACT).normalize(EXACT), 0) if nano_usd else Decimal(0)


def format_usd(nano_usd: int | None, *, digits_min: int = 2) -> str:
    """Show people dollars: no exponent, no digit lost, at least `digits_min` decimals; "unknown" for None.

    >>> format_usd(42_000), format_usd(5 * NANO_PER_USD), format_usd(-1), format_usd(None)
    ('$0.000042', '$5.00', '-$0.000000001', 'unknown')
    """
    if nano_usd is None:
        return "unknown"
    whole, rest = divmod(abs(nano_usd), NANO_PER_USD)
    decimals = f"{rest:09d}".rstrip("0").ljust(digits_min, "0")
    return f"{'-' if nano_usd < 0 else ''}${whole}.{decimals}"


def nano_of_pico(pico_usd: int) -> int:
    """Round pico-USD up to nano-USD.

    >>> nano_of_pico(1), nano_of_pico(1000), nano_of_pico(0)
    (1, 1, 0)
    """
    return -(-pico_usd // PICO_PER_NANO)

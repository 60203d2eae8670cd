"""CostTracker: what calls to one model cost, what was spent today, and whether more would fit.

A face of the price book, the meter and the rules of budgets; it decides nothing that they do not. Money is exact
(integer nano-USD inside, Decimal outside), and a price that is not known is None, never 0.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import tzinfo
from decimal import Decimal
from threading import Lock
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo

from bursar.call.meter import meter
from bursar.catalog.prices import PriceBook
from bursar.rules.allowances import Allowance, Grant, Level, decide, settle
from bursar.rules.estimate import Size, demand_of
from bursar.rules.money import EXACT, NANO_USD_MAX, Cost, decimal_of, nano_of, nano_of_pico, usd_of
from bursar.rules.prices import PriceCard, free_card
from bursar.rules.usage import TOKENS_MAX, Usage
from bursar.rules.windows import calendar_window
from bursar.telemetry.log import record_line
from bursar.wire.dialect import Metered
from bursar.wire.openai_usage import read_usage

Usd = str | int | float | Decimal

# The units that prices are quoted for: a token, a thousand (the habit of 2024), a million (today's).
UNITS = (1, 1_000, 1_000_000)
OWN_PRICES = "own prices"


class SdkUsage(Protocol):
    """A usage object of OpenAI's SDK."""

    def model_dump(self) -> dict[str, Any]: ...


def wall_ms() -> int:
    """The wall clock in epoch milliseconds."""
    return time.time_ns() // 1_000_000


class CostTracker:
    """Prices the calls to one model of one provider and counts what they cost each day. Thread-safe.

    It counts what it is told and holds nothing: use `bursar.Client` where a budget must never be passed.

    >>> prices = {"input": 0.005, "output": 0.015}
    >>> tracker = CostTracker("openai", "gpt-4o", prices=prices, per=1_000, daily_limit_usd=1)
    >>> tracker.estimate_cost(1_000, 500)
    Decimal('0.0125')
    >>> tracker.record(input_tokens=1_000, output_tokens=500).usd, tracker.left_usd
    (Decimal('0.0125'), Decimal('0.9875'))
    >>> tracker.check_budget(60_000), tracker.check_budget(70_000)
    (True, False)
    """

    def __init__(
        self,
        provider: str,
        model: str,
        *,
        prices: Mapping[str, Usd] | Literal["free"] | None = None,
        per: int = 1_000_000,
        daily_limit_usd: Usd | None = None,
        warn_usd: Usd | None = None,
        max_per_request_usd: Usd | None = None,
        time_zone: str = "UTC",
        clock: Callable[[], int] = wall_ms,
        book: PriceBook | None = None,
    ) -> None:
        """Make ready; nothing is read before the first price is asked for.

        Args:
            provider, model: as in `provider/model`; the model as its provider names it.
            prices: USD for `per` units by leaf ("input", "output", "cached_input", ...) instead of the price list, or
                "free".
            per: 1, 1_000 or 1_000_000.
            daily_limit_usd: what may be spent in a calendar day of `time_zone`; None for no limit.
            warn_usd: a recorded call that costs this much or more is logged as a warning (logger "bursar").
            max_per_request_usd: what one call may cost; None for no limit.
            clock: epoch milliseconds.
            book: a price book to share; each tracker has its own otherwise.

        Raises:
            ValueError: an unknown leaf, unit or time zone; a price or amount that is negative, absurd or no number.
        """
        self.provider = provider
        self.model = model
        self._own_card = None if prices is None else _card(prices, per)
        self._book = book or PriceBook()
        self._clock = clock
        self._zone = _zone(time_zone)
        self._warn_nano_usd = _amount("warn_usd", warn_usd)
        self._cap_nano_usd = _amount("max_per_request_usd", max_per_request_usd)
        self._limit_nano_usd = _amount("daily_limit_usd", daily_limit_usd)
        self._allowance = Allowance(
            name=f"{provider}.daily_limit_usd",
            meter="nano_usd",
            capacity=NANO_USD_MAX if self._limit_nano_usd is None else self._limit_nano_usd,
            shape="calendar",
            period="day",
            mode="observe" if self._limit_nano_usd is None else "enforce",
            time_zone=time_zone,
        )
        self._lock = Lock()
        self._level = Level(self._allowance)
        self._unknown = 0

    @property
    def card(self) -> PriceCard | None:
        """The prices of today (UTC), compiled; None when they are not known."""
        return self._card_of(self.model)

    @property
    def pricing(self) -> dict[str, Decimal] | None:
        """The prices of today in USD per million units, by leaf; None when they are not known.

        Those of a prompt of usual length: `card.tiers` has the prices of long ones, where they differ.
        """
        card = self.card
        if card is None:
            return None
        return {leaf: usd_of(nano_of_pico(pico_usd * 1_000_000)) for leaf, pico_usd in card.pico_usd.items()}

    @property
    def spent_usd(self) -> Decimal:
        """What was recorded today, as far as its cost is known."""
        with self._lock:
            return usd_of(self._today().spent)

    @property
    def left_usd(self) -> Decimal | None:
        """What is left of the daily limit, below 0 when it was passed; None without a limit."""
        with self._lock:
            level = self._today()
        return None if self._limit_nano_usd is None else usd_of(level.free(level.start_ms))

    @property
    def unknown_costs(self) -> int:
        """How many calls were recorded today whose cost is not known, and is therefore not in `spent_usd`."""
        with self._lock:
            self._today()
            return self._unknown

    def estimate_cost(self, input_tokens: int, output_tokens: int = 0) -> Decimal | None:
        """What this many plain tokens cost, in USD; None when a price is not known."""
        card = self.card
        usage = Usage.of(token_count("input_tokens", input_tokens), token_count("output_tokens", output_tokens))
        cost_nano_usd = None if card is None else card.cost_nano_usd(usage)
        return None if cost_nano_usd is None else usd_of(cost_nano_usd)

    def record(
        self,
        usage: Usage | Mapping[str, Any] | SdkUsage | None = None,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cost_usd: Usd | None = None,
    ) -> Cost:
        """Count a call that was made, and say what it cost.

        Args:
            usage: the `usage` of an OpenAI-compatible reply, as JSON or as OpenAI's SDK gives it (a cost in it, as
                OpenRouter reports it, is believed), or a Usage.
            input_tokens, output_tokens: in place of `usage`, where all tokens have the plain price.
            cost_usd: what the provider says it charged; believed before everything else.

        Returns:
            The cost; its `nano_usd` is None when it is not known. It then counts in `unknown_costs` alone.

        Raises:
            ValueError: nothing was given, or something that no call can have used or cost.
        """
        metered = _metered(usage, input_tokens, output_tokens, _amount("cost_usd", cost_usd, round_up=True))
        cost, _ = meter(metered, asked_model=self.model, price=self._card_of)
        with self._lock:
            level = self._today()
            if cost.nano_usd is None:
                self._unknown += 1
            else:
                settle(level, 0, cost.nano_usd, self._clock())
        if self._warn_nano_usd is not None and cost.nano_usd is not None and cost.nano_usd >= self._warn_nano_usd:
            fields = {"cost_nano_usd": cost.nano_usd, "threshold_nano_usd": self._warn_nano_usd}
            line = record_line("cost_warned", {"provider": self.provider, "model": self.model, **fields})
            logging.getLogger("bursar").warning("%s", line)
        return cost

    def check_budget(self, tokens: int, *, output_tokens: int | None = None) -> bool:
        """Whether a call of this many tokens would still fit the daily limit and the limit per request.

        Every token is priced at the dearest unit of its side, fees included. A price that is not known fits no limit;
        without limits everything fits.

        Args:
            tokens: input and output together.
            output_tokens: how many of them are output at most; None when that is not known, and all of them could be.

        Raises:
            ValueError: a count that is not a whole number, is negative, or has more output than tokens.
        """
        token_count("tokens", tokens)
        if output_tokens is None:
            return self._fits(tokens, 0) and self._fits(0, tokens)
        if token_count("output_tokens", output_tokens) > tokens:
            raise ValueError(f"output_tokens ({output_tokens}) are among the tokens ({tokens}), not beside them")
        return self._fits(tokens - output_tokens, output_tokens)

    def _fits(self, input_tokens: int, output_tokens: int) -> bool:
        size = Size(input_tokens, input_tokens, output_tokens, 0, output_tokens)
        demand = demand_of(size, [self.card])
        cap = self._cap_nano_usd
        if cap is not None and (demand.base_pico_usd is None or demand.nano_usd(output_tokens) > cap):
            return False
        with self._lock:
            return isinstance(decide([self._today()], demand, self._clock()), Grant)

    def _card_of(self, model: str, tier: str = "", /) -> PriceCard | None:
        """The one place that asks for a price: the user's own, else that of the book for this minute."""
        if self._own_card is not None:
            return self._own_card
        return self._book.card_at(self.provider, model, self._clock() // 60_000, tier)

    def _today(self) -> Level:
        """The level of the calendar day. A clock that goes back over midnight forgets nothing of the newer day."""
        now_ms = self._clock()
        if now_ms >= self._level.end_ms:
            day = calendar_window("day", self._zone, now_ms)
            self._level = Level(self._allowance, start_ms=day.start_ms, end_ms=day.end_ms)
            self._unknown = 0
        return self._level


def token_count(name: str, value: int) -> int:
    """A count of tokens that a call can have; raises ValueError for anything else."""
    if type(value) is not int or not 0 <= value <= TOKENS_MAX:
        raise ValueError(f"{name} must be a whole number from 0 to {TOKENS_MAX}, not {value!r}")
    return value


def _card(prices: Mapping[str, Usd] | Literal["free"], per: int) -> PriceCard:
    if isinstance(prices, str):
        if prices != "free":
            raise ValueError(f"prices must be USD by unit, or 'free', not {prices!r}")
        return free_card("free")
    if per not in UNITS:
        raise ValueError(f"prices can be per {', '.join(map(str, UNITS))} units, not per {per!r}")
    per_million = {leaf: _scaled(leaf, usd, 1_000_000 // per) for leaf, usd in prices.items()}
    return PriceCard.of(per_million, version=OWN_PRICES)


def _scaled(leaf: str, usd: Usd, factor: int) -> Decimal:
    try:
        return EXACT.multiply(decimal_of(usd), factor)
    except ValueError as error:
        raise ValueError(f"price of {leaf}: {error}") from None


def _amount(name: str, usd: Usd | None, *, round_up: bool = False) -> int | None:
    try:
        return None if usd is None else nano_of(usd, round_up=round_up)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}; an example is Europe/Berlin") from None


def _metered(
    usage: Usage | Mapping[str, Any] | SdkUsage | None,
    input_tokens: int | None,
    output_tokens: int | None,
    reported_nano_usd: int | None,
) -> Metered:
    """What a caller said about a call, as the meter reads a reply."""
    if usage is not None and (input_tokens is not None or output_tokens is not None):
        raise ValueError("give the usage or the tokens, not both")
    if isinstance(usage, Usage):
        return Metered(usage, reported_nano_usd)
    if usage is not None:
        reading = read_usage(dict(usage) if isinstance(usage, Mapping) else usage.model_dump())
        return Metered(reading.usage, reading.reported_nano_usd if reported_nano_usd is None else reported_nano_usd)
    if input_tokens is None and output_tokens is None:
        if reported_nano_usd is None:
            raise ValueError("give the usage, the tokens or the cost of the call")
        return Metered(None, reported_nano_usd)
    counts = token_count("input_tokens", input_tokens or 0), token_count("output_tokens", output_tokens or 0)
    return Metered(Usage.of(*counts), reported_nano_usd)

"""The values in a bill: amounts of dollars, counts, days. Exact, or a ValueError that says what was expected.

An amount is never read through a float. Whether a comma is a decimal one is decided once for a whole column, and in
doubt by the table's own delimiter: who parts cells by semicolons writes decimals with commas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal, InvalidOperation

__all__ = ["amount_of", "count_of", "day_of", "decimal_comma", "decimal_in", "usd_in"]

# A trillion dollars, or requests; beyond it a number is an id.
AMOUNT_MAX = Decimal(10) ** 12
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?(e[+-]?\d{1,3})?|[+-]?\.\d+(e[+-]?\d{1,3})?", re.IGNORECASE)
_CURRENCY = re.compile(r"(?i)us\$|usd|\$")
# A whole number in groups of three, which a single separator may part as well as a fraction.
_THOUSANDS = re.compile(r"(^|\D)[1-9]\d{0,2}(,\d{3})+(\D|$)")
_SPACES = str.maketrans("", "", " \u00a0\u202f'’_")
_DATES = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%b %d, %Y", "%d %b %Y", "%B %d, %Y", "%d %B %Y")
# A date with a time behind it; the many lines of an export are these.
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[ T]")
# Epochs are told from other numbers by their length: seconds until 2286, milliseconds since 2001.
_EPOCH = re.compile(r"(\d{10})(?:\.0+)?|(\d{13})")


def decimal_comma(texts: Iterable[str], delimiter: str = ",") -> bool:
    """Whether the amounts of a column have a decimal comma.

    >>> decimal_comma(["1.234,50"]), decimal_comma(["1,234.50"]), decimal_comma(["0,25", "3"]), decimal_comma(["1,234"])
    (True, False, True, False)
    """
    in_doubt = False
    for text in texts:
        comma, point = text.rfind(","), text.rfind(".")
        if comma >= 0 and point >= 0:
            return comma > point
        if comma >= 0:
            if not _THOUSANDS.search(text):
                return True
            in_doubt = True
        elif point >= 0 and not _THOUSANDS.search(text.replace(".", ",")):
            return False
    return in_doubt and delimiter == ";"


def amount_of(text: str, *, comma: bool = False) -> Decimal:
    """A number of a table: thousands separators, a sign at either end or in brackets, and exponents are read.

    >>> amount_of("1,234.50"), amount_of("-1.234,50", comma=True), amount_of("(3)"), amount_of("2.5e-06")
    (Decimal('1234.50'), Decimal('-1234.50'), Decimal('-3'), Decimal('0.0000025'))
    """
    plain = text.strip().translate(_SPACES)
    negative = plain.startswith("(") and plain.endswith(")")
    plain = plain.strip("()") if negative else plain
    if plain.endswith("-"):
        negative, plain = not negative, plain[:-1]
    decimal, thousands = (",", ".") if comma else (".", ",")
    groups = plain.partition(decimal)[0].split(thousands)
    if thousands in plain.partition(decimal)[2] or (len(groups) > 1 and len(groups[-1]) != 3):
        raise ValueError(f"expected a number with a decimal {'comma' if comma else 'point'}, got {_quoted(text)}")
    plain = plain.replace(thousands, "").replace(decimal, ".")
    if not _NUMBER.fullmatch(plain):
        raise ValueError(f"expected a number, got {_quoted(text)}")
    amount = Decimal(plain)
    return _checked(-amount if negative else amount, text)


def usd_in(text: str, *, comma: bool = False) -> Decimal:
    """An amount of dollars in a table, with or without a sign of its currency. Raises ValueError for another currency.

    >>> usd_in("$1,234.50"), usd_in("0.5 USD")
    (Decimal('1234.50'), Decimal('0.5'))
    """
    bare = _CURRENCY.sub("", text, count=1)
    if re.search(r"[^\d\s.,+()'’_eE\u00a0\u202f-]", bare):
        raise ValueError(f"expected an amount of US dollars, got {_quoted(text)}")
    return amount_of(bare, comma=comma)


def decimal_in(value: object) -> Decimal:
    """A number of JSON, which may be written as a text. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise ValueError(f"expected a number, got {_quoted(value)}")
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        raise ValueError(f"expected a number, got {_quoted(value)}")
    try:
        return _checked(Decimal(value), value)
    except InvalidOperation:
        raise ValueError(f"expected a number, got {_quoted(value)}") from None


def count_of(value: object, *, comma: bool = False) -> int:
    """A count, not below 0, written as a whole number ("59200.0" is one). Raises ValueError.

    >>> count_of("1,234"), count_of("59200.0"), count_of(7)
    (1234, 59200, 7)
    """
    number = amount_of(value, comma=comma) if isinstance(value, str) else decimal_in(value)
    if number < 0 or number != number.to_integral_value():
        raise ValueError(f"expected a count, got {_quoted(value)}")
    return int(number)


def day_of(value: object, zone: tzinfo, *, naive: tzinfo | None = None) -> date:
    """The day of a date, an instant, or an epoch in seconds or milliseconds, in `zone`.

    naive: the zone of an instant that names none; None takes its day as it is written. Raises ValueError.

    >>> day_of("2026-11-20", UTC), day_of(1_795_176_000, UTC), day_of("2026-11-20T23:59:59.713Z", UTC)
    (datetime.date(2026, 11, 20), datetime.date(2026, 11, 20), datetime.date(2026, 11, 20))
    """
    text = str(value).strip() if isinstance(value, int | str | Decimal) and not isinstance(value, bool) else ""
    epoch = _EPOCH.fullmatch(text)
    if epoch:
        seconds = int(epoch[1]) if epoch[1] else int(epoch[2]) / 1000
        return datetime.fromtimestamp(seconds, UTC).astimezone(zone).date()
    if _INSTANT.match(text):
        moment = _moment(text, value)
        if moment.tzinfo is None:
            return moment.date() if naive is None else moment.replace(tzinfo=naive).astimezone(zone).date()
        return moment.astimezone(zone).date()
    for form in _DATES:
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007 - a date alone has no zone
        except ValueError:
            continue
    raise _no_date(value)


def _moment(text: str, value: object) -> datetime:
    try:
        return datetime.fromisoformat(f"{text[:-4]}+00:00" if text.endswith(" UTC") else text)
    except ValueError:
        raise _no_date(value) from None


def _no_date(value: object) -> ValueError:
    return ValueError(f"expected a date such as 2026-11-01, got {_quoted(value)}")


def _checked(amount: Decimal, value: object) -> Decimal:
    if not amount.is_finite() or abs(amount) > AMOUNT_MAX:
        raise ValueError(f"expected a number of no more than {AMOUNT_MAX:,}, got {_quoted(value)}")
    return amount


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 40 else f"{text[:39]}…")

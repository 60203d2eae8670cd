"""Counts as providers report them, read without ever raising.

Decides what number a count in disguise stands for: a string of digits, a float, a decimal. What cannot be a count (a
negative, a fraction, an enormous one, another type) is None, and whoever reads it decides what that means for the bill.
"""

from __future__ import annotations

from decimal import Decimal

from bursar.rules.usage import TOKENS_MAX

__all__ = ["Counts"]


class Counts:
    """Reads counts out of one report. `odd`: one of them was not what a count should be, and the report is doubtful."""

    __slots__ = ("odd",)

    def __init__(self) -> None:
        self.odd = False

    def of(self, value: object) -> int | None:
        """The count, 0 to `TOKENS_MAX`; None where there is none, or none that can be believed.

        >>> counts = Counts()
        >>> counts.of(7), counts.of(7.0), counts.of(None), counts.odd
        (7, 7, None, False)
        >>> counts.of("12"), counts.of(-1), counts.of(0.5), counts.odd
        (12, None, None, True)
        """
        if type(value) is int and 0 <= value <= TOKENS_MAX:
            return value
        return None if value is None else self._odd(value)

    def begun(self, value: object) -> int | None:
        """The same of what comes in parts, as seconds do: one that has begun counts as one.

        >>> Counts().begun(7.2)
        8
        """
        if isinstance(value, Decimal | float):
            amount = Decimal(value)
            if amount.is_finite() and 0 <= amount <= TOKENS_MAX and amount != int(amount):
                self.odd = True
                return int(amount) + 1
        return self.of(value)

    def _odd(self, value: object) -> int | None:
        """A count in disguise; None for what is no count. Only a float without a fraction is nothing odd."""
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
            self.odd = True
            return self.of(int(value))
        if isinstance(value, Decimal | float):
            amount = Decimal(value)
            # Nobody counts half a token: as 1 it would turn the rest of the total into output that nobody had.
            if amount.is_finite() and 0 <= amount <= TOKENS_MAX and amount == int(amount):
                return int(amount)
        self.odd = True
        return None

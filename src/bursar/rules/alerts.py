"""When a budget is worth an alert: the shares of it at which one is due, and which of them are reached.

Pure: what was told already, and to whom alerts go, is remembered elsewhere. What counts is what was spent; money that
calls in flight hold comes back, and would alert and un-alert with every one of them.
"""

from __future__ import annotations

from collections.abc import Sequence

# What an operator wants to know of a budget unless it says otherwise, in percent: half is gone, it will not last, it
# is about to refuse, it refuses.
DEFAULT_AT = (50, 80, 95, 100)


def due_at(limit: int, percent: int) -> int:
    """The least amount spent, in the units of `limit`, that is this share of it.

    >>> due_at(1_000, 80), due_at(3, 50)
    (800, 2)
    """
    return -(-limit * percent // 100)


def reached(spent: int, limit: int, shares: Sequence[int]) -> tuple[int, ...]:
    """The shares, in percent, that `spent` has reached, least first. A budget of nothing reaches none.

    >>> reached(96, 100, (50, 80, 95, 100))
    (50, 80, 95)
    """
    return tuple(sorted({share for share in shares if spent >= due_at(limit, share)})) if limit > 0 else ()


def next_due(spent: int, limit: int, shares: Sequence[int]) -> int | None:
    """The least amount above `spent` at which another share is reached; None when there is none.

    >>> next_due(50, 100, (50, 80)), next_due(80, 100, (50, 80))
    (80, None)
    """
    ahead = [due for share in shares if (due := due_at(limit, share)) > spent] if limit > 0 else []
    return min(ahead, default=None)


def percent_of(spent: int, limit: int) -> int:
    """How much of a budget is spent, in whole percent, rounded down."""
    return spent * 100 // limit if limit > 0 else 0

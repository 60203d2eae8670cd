"""What an attempt's end says of the provider: the problem that retries go by, and the health that its breaker counts.

Decides by kind, never by message text. Failures are what a provider should never do: no connection, no answer in time,
5xx, broken or senseless replies. Limits, quotas and whatever else a status of 4xx says tell nothing of its health, and
neither does a caller who goes away, or whose deadline had passed before the provider was asked.
"""

from __future__ import annotations

from bursar.call.exchange import Failed
from bursar.call.plan import Health
from bursar.rules.retries import Problem
from bursar.wire.dialect import WireError

__all__ = ["health_of", "problem_of_failed", "problem_of_wire"]

_FAILURES = frozenset({"connect", "timeout", "broken", "stalled", "malformed", "unavailable"})


def problem_of_wire(error: WireError, status: int | None, *, output: bool = False) -> Problem:
    """What a provider reported. `output`: part of the reply was shown to the caller."""
    return Problem(
        error.kind, error.status or status, error.retry_after_seconds, error.should_retry, sent=True, output=output
    )


def problem_of_failed(failed: Failed, *, output: bool = False) -> Problem | None:
    """An exchange that broke; None where it says nothing of the provider (a caller who left, a pool that was full)."""
    if failed.kind in ("cancelled", "closed", "pool"):
        return None
    if failed.kind == "too_large":
        return Problem("malformed", failed.status, None, None, sent=True, output=output)
    if not failed.sent:
        return Problem("connect", None, None, None, sent=False, output=False)
    if failed.kind == "timeout":
        return Problem("stalled" if output else "timeout", failed.status, None, None, sent=True, output=output)
    return Problem("broken", failed.status, None, None, sent=True, output=output)


def health_of(problem: Problem | None, *, ok: bool) -> Health:
    """How the provider did."""
    if problem is None:
        return "success" if ok else "ignored"
    if problem.status is not None and 400 <= problem.status < 500:
        return "ignored"
    return "failure" if problem.kind in _FAILURES else "ignored"

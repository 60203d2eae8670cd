"""The best that anybody could do who knew everything: first come, first served, as soon as the provider's limits allow.

It is computed and not run. Each call starts at the first instant at which all before it have started and the
provider's leaky bucket has room for it; where the provider gives back what was not used, it does so when a call ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that refills `capacity` units in `period_seconds`; each call takes some on arrival, and may give back."""

    capacity: float
    period_seconds: float
    takes: float
    gives_back: float = 0.0


def starts_seconds(arrivals: Sequence[float], limit: Limit, service_seconds: float) -> list[float]:
    """When each call starts. `arrivals`: in seconds, ascending.

    >>> starts_seconds([0.0, 0.0, 0.0, 1.0], Limit(2, 60.0, 1), 1.0)
    [0.0, 0.0, 30.0, 60.0]
    >>> starts_seconds([0.0, 0.0, 0.0], Limit(100, 60.0, 60, gives_back=60), 1.0)
    [0.0, 1.0, 2.0]
    """
    rate = limit.capacity / limit.period_seconds
    level = now = 0.0
    endings: deque[float] = deque()
    starts = []

    def pass_until(instant: float) -> None:
        nonlocal level, now
        while endings and endings[0] <= instant:
            ended = endings.popleft()
            level = max(0.0, level - (ended - now) * rate)
            level, now = max(0.0, level - limit.gives_back), ended
        level, now = max(0.0, level - (instant - now) * rate), instant

    for arrival in arrivals:
        pass_until(max(arrival, now))
        while (over := level + limit.takes - limit.capacity) > 1e-6:
            # What ends before then gives back, and may make room sooner.
            fits = now + over / rate
            pass_until(min(fits, endings[0]) if endings and limit.gives_back else fits)
        level += limit.takes
        starts.append(now)
        endings.append(now + service_seconds)
    return starts

"""What a circuit breaker costs a call: a permit taken and given back, in the closed state and while it is open.

    python -m bench.breaker [--json]

Microseconds of CPU; the best of several repeats counts, since other work on the machine only ever adds. `rule` is the
state machine alone; `guard` adds the lock and the clock, and is what a call pays.
"""

from __future__ import annotations

from bench.report import arguments, show
from bench.rules import best_us
from bursar.edges.breakers import Breakers
from bursar.rules.breaker import Breaker, BreakerPolicy

NOW_MS = 1_795_176_000_000


def through_rule(breaker: Breaker) -> None:
    """A call that goes well."""
    permit = breaker.take(NOW_MS)
    assert permit is not None
    breaker.finish(permit, "success", 800, NOW_MS, 0.5)


def main() -> None:
    asked = arguments(__doc__).parse_args()
    closed, opened = Breaker(BreakerPolicy()), Breaker(BreakerPolicy(consecutive_failures=1))
    opened.finish(opened.closed_permit, "failure", 800, NOW_MS, 0.5)
    assert closed.state(NOW_MS) == "closed"
    assert opened.state(NOW_MS) == "open"
    breakers = Breakers(lambda provider: BreakerPolicy(), lambda: NOW_MS)

    def through_guard() -> None:
        guard = breakers.of("openai", "gpt-4o")
        permit = guard.take()
        assert permit is not None
        guard.finish(permit, "success", 800)

    figures = {
        "rule_take_and_finish_us": best_us(lambda: through_rule(closed)),
        "rule_refused_us": best_us(lambda: opened.take(NOW_MS)),
        "guard_found_taken_and_finished_us": best_us(through_guard),
    }
    show("breaker", figures, as_json=asked.json)


if __name__ == "__main__":
    main()

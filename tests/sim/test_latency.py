"""Waiting: drawn from the seed, none at 0, and spread as providers' is."""

from __future__ import annotations

from bursar.sim.latency import AT_ONCE, Clock, Speed

SPEED = Speed(0.4, 0.01)


def test_waits_come_from_the_seed_and_scale() -> None:
    def drawn(seed: int, scale: float) -> list[float]:
        clock = Clock(seed, scale)
        return [clock.pace(SPEED).generation_seconds(100) for _ in range(50)]

    assert drawn(1, 1.0) == drawn(1, 1.0)
    assert drawn(1, 1.0) != drawn(2, 1.0)
    half = drawn(1, 0.5)
    assert all(abs(whole / 2 - part) < 1e-9 for whole, part in zip(drawn(1, 1.0), half, strict=True))
    assert Clock(1, 0.0).pace(SPEED) is AT_ONCE


def test_first_tokens_have_the_median_they_should() -> None:
    clock = Clock(0, 1.0)
    firsts = sorted(clock.pace(SPEED).first_token_seconds for _ in range(1001))
    assert 0.35 < firsts[500] < 0.45
    assert firsts[0] > 0.05
    assert firsts[1000] > 1


async def test_hurry_wakes_whoever_waits_and_will_wait() -> None:
    clock = Clock(0, 1.0)
    clock.hurry()
    await clock.wait(3600)
    assert clock.hurried

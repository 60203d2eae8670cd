"""Makes the demo's calls through a real client, counts how they end, and picks what is worth a line.

Decides nothing about money: the client does. What a call came to is taken from the client's own events.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bursar.call.events import CallEnded, CallRefused, Event
from bursar.cli.demo_calls import DemoCall
from bursar.errors import BudgetExceededError, ProviderError, RefusedError
from bursar.rules.money import format_usd

if TYPE_CHECKING:
    from bursar.call.books import Fact
    from bursar.client import AsyncClient

# Lines of one kind; the totals at the end count the rest.
LINES_MAX = {"aborted": 6, "failed": 5, "waited": 5, "refused": 4}
WAIT_SHOWN_MS = 250
# A wait is told when it is so much longer than the longest told before.
LONGER = 1.25


@dataclass(frozen=True, slots=True)
class Notice:
    """A line about one call: when (seconds from the start), what happened, to which model, and what it meant."""

    seconds: float
    kind: str
    model: str
    text: str


@dataclass(slots=True)
class Tally:
    """How the calls have ended so far. Each call ends in exactly one of ok, refused, aborted, failed."""

    calls: int
    begun: int = 0
    ok: int = 0
    refused: int = 0
    aborted: int = 0
    failed: int = 0

    @property
    def ended(self) -> int:
        """Calls that their callers have done with."""
        return self.ok + self.refused + self.aborted + self.failed


class Watch:
    """Turns the client's events into notices, and keeps the talk short. `waited` counts calls that waited for money."""

    def __init__(self, tell: Callable[[Notice], None]) -> None:
        self._tell = tell
        self._began = time.monotonic()
        self._told: Counter[str] = Counter()
        self._longest_ms = 0
        self.waited = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, CallRefused):
            self._refused(event)
        elif isinstance(event, CallEnded):
            self._ended(event.fact)

    def _refused(self, event: CallRefused) -> None:
        error = event.error
        if not isinstance(error, BudgetExceededError):
            # Refused because there is nobody to answer any more.
            self._line("aborted", event.model, "left while it waited: nothing sent")
            return
        needed, unspent = usd(error.needed_nano_usd), usd(error.limit_nano_usd - error.spent_nano_usd)
        vain = f"waited in vain for {needed} held"
        self._line("refused", event.model, vain if error.held else f"needs {needed}, unspent {unspent}")

    def _ended(self, fact: Fact) -> None:
        if fact.wait_ms >= WAIT_SHOWN_MS:
            self.waited += 1
            if fact.wait_ms >= self._longest_ms * LONGER:
                self._longest_ms = fact.wait_ms
                held = f"{fact.wait_ms / 1000:.1f} s for {usd(fact.bound_nano_usd)} that others held"
                self._line("waited", fact.model, held)
        charged = usd(fact.charged_nano_usd)
        if fact.ending in ("aborted", "cancelled"):
            read_on = f"left, yet billed: charged {charged}"
            self._line("aborted", fact.model, read_on if fact.certain else f"left, cut: {charged} stays set aside")
        elif fact.ending in ("error", "interrupted") or not fact.certain:
            price = f"charged {charged}" if fact.charged_nano_usd else "costs nothing"
            what = f"{_failure(fact)}: {price if fact.certain else f'{charged} set aside'}"
            self._line("failed", fact.model, what)

    def _line(self, kind: str, model: str, text: str) -> None:
        self._told[kind] += 1
        if self._told[kind] <= LINES_MAX[kind]:
            self._tell(Notice(time.monotonic() - self._began, kind, model.rpartition("/")[2], text))


def _failure(fact: Fact) -> str:
    """What went wrong, in few words."""
    if fact.status is None:
        return "connection broke"
    if fact.status >= 400:
        return f"HTTP {fact.status}"
    if fact.ending == "ok":
        return "no usage told"
    if fact.ending == "interrupted":
        return "stream cut short"
    return "reply is not JSON" if fact.error_code == "malformed_reply" else "error midway"


def usd(nano_usd: int) -> str:
    """Dollars to the millionth, rounded up: short enough for a line.

    >>> usd(1_234_567)
    '$0.001235'
    """
    return format_usd(-(-nano_usd // 1000) * 1000, digits_min=6)


async def make_calls(llm: AsyncClient, calls: Sequence[DemoCall], concurrency: int, tally: Tally) -> None:
    """Make the calls, so many at a time. Returns when every caller has its answer; drains may go on."""
    left = iter(calls)
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(_work(llm, left, tally))


async def _work(llm: AsyncClient, calls: Iterator[DemoCall], tally: Tally) -> None:
    for call in calls:
        tally.begun += 1
        try:
            stayed = await (_streamed(llm, call) if call.stream else _whole(llm, call))
        except RefusedError:
            tally.refused += 1
        except ProviderError:
            tally.failed += 1
        else:
            tally.ok += stayed
            tally.aborted += not stayed


async def _whole(llm: AsyncClient, call: DemoCall) -> bool:
    """Ask and wait. False when the caller ran out of patience, which cancels the call."""
    try:
        async with asyncio.timeout(call.cancel_after_seconds):
            await llm.chat(call.prompt, model=call.model, max_tokens=call.max_tokens, extra_headers=call.headers)
    except TimeoutError:
        return False
    return True


async def _streamed(llm: AsyncClient, call: DemoCall) -> bool:
    """Read the answer as it comes. False when the caller left in the middle."""
    deltas = 0
    async with llm.stream(
        call.prompt, model=call.model, max_tokens=call.max_tokens, extra_headers=call.headers
    ) as stream:
        async for _ in stream:
            deltas += 1
            if call.leave_after_deltas is not None and deltas >= call.leave_after_deltas:
                return False
    return True

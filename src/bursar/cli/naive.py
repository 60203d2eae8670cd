"""The counter that Bursar is compared with: read the total, compare, call, add what the reply says it cost.

It is made as good as such a counter can be: it reads usage as Bursar does and prices it from the same book. What it
cannot know is what the calls in flight will cost, and what calls cost that it never saw the end of. It is never used
to govern anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from bursar.call.meter import meter
from bursar.catalog.prices import PriceBook
from bursar.cli.demo_calls import DemoCall
from bursar.wire.openai_chat import OpenAIChat

if TYPE_CHECKING:
    import aiohttp

    from bursar.rules.prices import PriceCard
    from bursar.wire.dialect import Metered

CALL_SECONDS_MAX = 30.0


class Total:
    """What the counter believes was spent: a number in memory."""

    def __init__(self) -> None:
        self.nano_usd = 0

    def add(self, nano_usd: int) -> None:
        """Count a cost."""
        self.nano_usd += nano_usd


class Counted(Protocol):
    """Where the total is kept."""

    @property
    def nano_usd(self) -> int: ...
    def add(self, nano_usd: int) -> None: ...


class CheckThenAdd:
    """A budget kept by a counter. `total` is what it believes was spent."""

    def __init__(
        self, base_urls: Mapping[str, str], key: str, budget_nano_usd: int, total: Counted | None = None
    ) -> None:
        self._base_urls = base_urls
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._prices = PriceBook()
        self._dialect = OpenAIChat()
        self.budget_nano_usd = budget_nano_usd
        self.total = Total() if total is None else total
        self.sent = 0
        self.refused = 0

    async def run(self, calls: Iterable[DemoCall], concurrency: int) -> None:
        """Make the calls, so many at a time."""
        import aiohttp

        left = iter(calls)
        # Without connection limits: the same seats as Bursar's callers have.
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(CALL_SECONDS_MAX)
        ) as session:
            await asyncio.gather(*(self._work(session, left) for _ in range(concurrency)))

    async def _work(self, session: aiohttp.ClientSession, calls: Any) -> None:
        for call in calls:
            if self.total.nano_usd >= self.budget_nano_usd:
                self.refused += 1
                continue
            self.sent += 1
            with suppress(OSError, TimeoutError, _client_errors()):
                async with asyncio.timeout(call.cancel_after_seconds):
                    self.total.add(await self._call(session, call))

    async def _call(self, session: aiohttp.ClientSession, call: DemoCall) -> int:
        """Send one; what it cost as far as the reply says, else 0."""
        provider, _, model = call.model.partition("/")
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": call.prompt}]}
        body["max_tokens"] = call.max_tokens
        if call.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        data = msgspec.json.encode(body)
        url, headers = self._base_urls[provider] + "/chat/completions", {**self._headers, **(call.headers or {})}
        async with session.post(url, data=data, headers=headers) as response:
            if response.status != 200:
                return 0
            if not call.stream:
                return self._cost(call.model, self._dialect.meter(await response.read()))
            reader, deltas = self._dialect.reader(self._dialect.parse(data)), 0
            async for piece in response.content.iter_any():
                deltas += len(reader.feed(piece))
                if call.leave_after_deltas is not None and deltas >= call.leave_after_deltas:
                    response.close()
                    return 0
            return self._cost(call.model, reader.metered())

    def _cost(self, name: str, metered: Metered) -> int:
        provider, _, model = name.partition("/")
        today = datetime.now(UTC).date()

        def price(model: str, tier: str = "", /) -> PriceCard | None:
            return self._prices.card(provider, model, today, tier)

        return meter(metered, asked_model=model, price=price)[0].nano_usd or 0


def _client_errors() -> type[Exception]:
    import aiohttp

    return aiohttp.ClientError

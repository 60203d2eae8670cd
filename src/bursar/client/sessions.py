"""A session: calls that are counted together, with a budget of their own. An object to pass around.

The same id continues the session, in another process and after a restart too: what it has spent is in the books.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from bursar.call.books import Balance
from bursar.client.replies import Quote, Reply, Vectors
from bursar.client.streams import AsyncStream, Stream
from bursar.engine import Engine

if TYPE_CHECKING:
    from bursar.client import AsyncClient, Client


class Bound:
    """What sessions of both colours have: an id, tags, and the balance of their budget."""

    def __init__(self, engine: Engine, id: str, budget_usd: Any, tags: Mapping[str, str] | None) -> None:
        self.id = id
        self.tags = dict(tags or {})
        self._engine = engine
        self._budget_usd = budget_usd

    @property
    def balance(self) -> Balance | None:
        """Where the session's own budget stands; None when it has none."""
        return next((one for one in self._engine.balances() if one.allowance == f"session:{self.id}"), None)

    def _with(self, options: dict[str, Any]) -> dict[str, Any]:
        return {**options, "session": self.id, "tags": {**self.tags, **(options.get("tags") or {})}}


class Session(Bound):
    """A session of a Client. Usable as a context manager, which changes nothing but the look of the code."""

    def __init__(
        self, client: Client, engine: Engine, id: str, budget_usd: Any, tags: Mapping[str, str] | None
    ) -> None:
        super().__init__(engine, id, budget_usd, tags)
        self._client = client
        engine.open_session(id, budget_usd)

    def chat(self, messages: Any, **options: Any) -> Reply:
        """`Client.chat`, counted under this session."""
        return self._client.chat(messages, **self._with(options))

    def stream(self, messages: Any, **options: Any) -> Stream:
        """`Client.stream`, counted under this session."""
        return self._client.stream(messages, **self._with(options))

    def send(self, path: str, **fields: Any) -> Reply:
        """`Client.send`, counted under this session."""
        return self._client.send(path, **self._with(fields))

    def send_stream(self, path: str, **fields: Any) -> Stream:
        """`Client.send_stream`, counted under this session."""
        return self._client.send_stream(path, **self._with(fields))

    def embed(self, inputs: str | Sequence[Any], **options: Any) -> Vectors:
        """`Client.embed`, counted under this session."""
        return self._client.embed(inputs, **self._with(options))

    def estimate(self, messages: Any, **options: Any) -> Quote:
        """`Client.estimate`, counted under this session."""
        return self._client.estimate(messages, **self._with(options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exit: object) -> None:
        return None


class AsyncSession(Bound):
    """A session of an AsyncClient."""

    def __init__(
        self, client: AsyncClient, engine: Engine, id: str, budget_usd: Any, tags: Mapping[str, str] | None
    ) -> None:
        super().__init__(engine, id, budget_usd, tags)
        self._client = client
        self._opened = False
        engine.check_session(id, budget_usd)

    async def chat(self, messages: Any, **options: Any) -> Reply:
        """`AsyncClient.chat`, counted under this session."""
        await self._open()
        return await self._client.chat(messages, **self._with(options))

    def stream(self, messages: Any, **options: Any) -> AsyncStream:
        """`AsyncClient.stream`, counted under this session."""
        return self._client.stream(messages, **self._with(options)).after(self._open)

    async def send(self, path: str, **fields: Any) -> Reply:
        """`AsyncClient.send`, counted under this session."""
        await self._open()
        return await self._client.send(path, **self._with(fields))

    def send_stream(self, path: str, **fields: Any) -> AsyncStream:
        """`AsyncClient.send_stream`, counted under this session."""
        return self._client.send_stream(path, **self._with(fields)).after(self._open)

    async def embed(self, inputs: str | Sequence[Any], **options: Any) -> Vectors:
        """`AsyncClient.embed`, counted under this session."""
        await self._open()
        return await self._client.embed(inputs, **self._with(options))

    async def estimate(self, messages: Any, **options: Any) -> Quote:
        """`AsyncClient.estimate`, counted under this session."""
        await self._open()
        return await self._client.estimate(messages, **self._with(options))

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *exit: object) -> None:
        return None

    async def _open(self) -> None:
        """Enter the budget into the books before the first call; not on the loop, since it waits for a disk."""
        if not self._opened:
            await asyncio.to_thread(self._engine.open_session, self.id, self._budget_usd)
            self._opened = True

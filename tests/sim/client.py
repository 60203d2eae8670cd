"""A small client for the simulator's tests: real HTTP, raw bytes kept."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bursar.sim.config import SimConfig
from bursar.sim.exchange import Desk
from bursar.sim.server import running

CHAT = {
    "openai": ("/openai/v1", "gpt-4o-mini"),
    "openrouter": ("/openrouter/api/v1", "openai/gpt-4o-mini"),
    "groq": ("/groq/openai/v1", "llama-3.1-8b-instant"),
    "generic": ("/v1", "tiny-chat"),
}
OTHERS = {
    "azure": ("/azure/openai/v1", "gpt-4o-mini"),
    "gemini": ("/gemini/v1beta/openai", "gemini-2.5-flash"),
    "mistral": ("/mistral/v1", "mistral-small-2603"),
    "deepseek": ("/deepseek", "deepseek-chat"),
    "xai": ("/xai/v1", "grok-4-fast-reasoning"),
    "together": ("/together/v1", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
    "fireworks": ("/fireworks/inference/v1", "accounts/fireworks/models/deepseek-v3p2"),
    "cerebras": ("/cerebras/v1", "gpt-oss-120b"),
}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    raw: bytes
    complete: bool = True

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def events(self) -> list[Any]:
        """The JSON of each event; "[DONE]" as it is."""
        found = []
        for block in self.raw.decode().split("\n\n"):
            for line in block.split("\n"):
                if line.startswith("data: "):
                    data = line.removeprefix("data: ")
                    found.append(data if data == "[DONE]" else json.loads(data))
        return found

    @property
    def streamed_text(self) -> str:
        chunks = [event for event in self.events if event != "[DONE]"]
        return "".join(c["delta"].get("content") or "" for e in chunks for c in e["choices"] if c["index"] == 0)


@dataclass
class Caller:
    url: str
    session: aiohttp.ClientSession
    desk: Desk
    headers: dict[str, str] = field(default_factory=lambda: {"Authorization": "Bearer sk-sim-test"})

    async def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        sent = {**self.headers, "Content-Type": "application/json", **(headers or {})}
        async with self.session.request(method, self.url + path, data=data, headers=sent) as response:
            raw, complete = b"", True
            try:
                async for piece in response.content.iter_any():
                    raw += piece
            except aiohttp.ClientError:
                complete = False
            return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, raw, complete)

    async def chat(
        self, provider: str, /, content: str = "hello", headers: dict[str, str] | None = None, **fields: Any
    ) -> Answer:
        prefix, model = (CHAT | OTHERS)[provider]
        body = {"model": model, "messages": [{"role": "user", "content": content}], **fields}
        return await self.send("POST", f"{prefix}/chat/completions", body, headers)

    async def bill(self) -> Any:
        return (await self.send("GET", "/sim/bill")).json

    async def record(self) -> list[Any]:
        return list((await self.send("GET", "/sim/record")).json)


@contextlib.asynccontextmanager
async def calling(config: SimConfig | None = None) -> AsyncIterator[Caller]:
    """A simulator and a client of it."""
    async with running(config) as sim:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
            yield Caller(sim.url, session, sim.desk)

"""A process that makes governed calls until it is told to stop, or is killed in the middle of any of them.

After each reply it appends one line, the attempt's id and its charge, to a file that all workers share: what a caller
has been told. Odd workers are async, even ones blocking with threads; both stream, leave streams and meet faults.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Imported before the workers are forked, so that a new one is at work within milliseconds.
import aiohttp  # noqa: F401
import anyio.streams.tls  # noqa: F401
import genai_prices.data  # noqa: F401
import httpx2  # noqa: F401

import bursar.edges.http.asynchronous
import bursar.edges.http.blocking
import bursar.edges.stores.sqlite  # noqa: F401
from bursar.client import AsyncClient, Client
from bursar.client.replies import Reply
from bursar.errors import ProviderError, RefusedError

CALLERS = 8
MODELS = (
    "openai/gpt-4o-mini",
    "openai/gpt-4.1-mini",
    "groq/llama-3.3-70b-versatile",
    "openrouter/meta-llama/llama-3.3-70b-instruct",
)
# Names of ours for several models each: what one does not answer goes on to the next.
ROUTES = {
    "fast": ("openai/gpt-4o-mini", "groq/llama-3.3-70b-versatile"),
    "sure": ("groq/llama-3.3-70b-versatile", "openai/gpt-4.1-mini", MODELS[3]),
}
USERS = ("ann", "ann", "ann", "ann", "bob", "bob", "cid", "dot", "eve")
FAULTS = ("status:503", "drop", "truncate", "missing_usage", "error_in_stream")
# Whoever was refused does not spin.
REFUSED_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Place:
    """Where the workers meet: the configuration with the books, the file of acknowledgements, the sign to stop."""

    config: Path
    acknowledged: Path
    stop: Path


def call(chance: random.Random) -> tuple[str, dict[str, Any], bool]:
    """A prompt, its options, and whether it is streamed."""
    options: dict[str, Any] = {
        "model": chance.choice((*MODELS, *ROUTES)),
        "user": chance.choice(USERS),
        "max_tokens": chance.choice((40, 80, 120)),
    }
    if chance.random() < 0.06:
        options["extra_headers"] = {"x-sim-fault": chance.choice(FAULTS)}
    return f"How much is {chance.random()}?", options, chance.random() < 0.3


class Acknowledgements:
    """The shared file. A line is one write to a descriptor opened with O_APPEND: whole, or not there."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def add(self, reply: Reply | None) -> None:
        """Remember what a caller was told, unless the books had not taken it yet."""
        if reply is not None and reply.receipt.settled:
            receipt = reply.receipt
            os.write(self._descriptor, f"{receipt.attempt_id} {receipt.charged_nano_usd}\n".encode())


def work(place: Place, seed: int) -> None:
    """Make calls. Returns when the file `stop` exists."""
    logging.getLogger("bursar").setLevel(logging.ERROR)  # what fails here fails on purpose
    if seed % 2:
        asyncio.run(_work_async(place, seed))
    else:
        _work_blocking(place, seed)


async def _work_async(place: Place, seed: int) -> None:
    acknowledgements = Acknowledgements(place.acknowledged)
    async with AsyncClient(place.config) as llm, asyncio.TaskGroup() as group:
        for number in range(CALLERS):
            group.create_task(_call_async(llm, place, random.Random(f"{seed} {number}"), acknowledgements))


async def _call_async(
    llm: AsyncClient, place: Place, chance: random.Random, acknowledgements: Acknowledgements
) -> None:
    while not place.stop.exists():
        prompt, options, streamed = call(chance)
        leaves_after = chance.randint(1, 200)
        try:
            if not streamed:
                acknowledgements.add(await llm.chat(prompt, **options))
                continue
            async with llm.stream(prompt, **options) as stream:
                deltas = 0
                async for _ in stream:
                    deltas += 1
                    if deltas == leaves_after:
                        break
            acknowledgements.add(stream.reply)
        except RefusedError:
            await asyncio.sleep(REFUSED_SECONDS)
        except ProviderError:
            continue


def _work_blocking(place: Place, seed: int) -> None:
    acknowledgements = Acknowledgements(place.acknowledged)
    with Client(place.config) as llm:
        threads = [
            threading.Thread(target=_call_blocking, args=(llm, place, random.Random(f"{seed} {n}"), acknowledgements))
            for n in range(CALLERS // 2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _call_blocking(llm: Client, place: Place, chance: random.Random, acknowledgements: Acknowledgements) -> None:
    while not place.stop.exists():
        prompt, options, streamed = call(chance)
        leaves_after = chance.randint(1, 200)
        try:
            if not streamed:
                acknowledgements.add(llm.chat(prompt, **options))
                continue
            with llm.stream(prompt, **options) as stream:
                for deltas, _ in enumerate(stream):
                    if deltas == leaves_after:
                        break
            acknowledgements.add(stream.reply)
        except RefusedError:
            time.sleep(REFUSED_SECONDS)
        except ProviderError:
            continue

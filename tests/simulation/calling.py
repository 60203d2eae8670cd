"""One simulated caller: what it asks for, when it loses patience, and what it saw in the end."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from bursar.call.flow import Result
from bursar.engine import Asked
from bursar.errors import BursarError
from bursar.wire.openai_chat import OpenAIChat
from tests.simulation.process import SimulatedProcess

CHAT = OpenAIChat()
# What a caller who has all the time in the world waits for.
PATIENT_SECONDS = 3_000.0

Outcome = Literal["answered", "failed", "left", "cancelled", "lost"]


@dataclass(frozen=True, slots=True)
class Script:
    """What a caller does. Seconds are since the beginning, or since the call where they say how long.

    leaves_after: pieces of a stream; None to read on. cancelled_after_seconds: None for who stays.
    """

    number: int
    at_seconds: float
    model: str
    words: int
    stream: bool
    user: str | None = None
    session: str | None = None
    max_tokens: int | None = None
    max_cost_usd: str | None = None
    timeout: float | None = None
    max_wait_seconds: float | None = None
    leaves_after: int | None = None
    cancelled_after_seconds: float | None = None

    @property
    def patient(self) -> bool:
        """Whether it waits as long as it takes."""
        return self.max_wait_seconds == PATIENT_SECONDS

    def body(self) -> bytes:
        """The request in bytes."""
        fields: dict[str, Any] = {"model": self.model, "messages": [{"role": "user", "content": "word " * self.words}]}
        if self.stream:
            fields["stream"] = True
        if self.max_tokens is not None:
            fields["max_tokens"] = self.max_tokens
        return json.dumps(fields).encode()

    def asked(self) -> Asked:
        """The arguments that are ours."""
        return Asked(
            model=self.model,
            max_cost_usd=self.max_cost_usd,
            timeout=self.timeout,
            max_wait_seconds=self.max_wait_seconds,
            user=self.user,
            session=self.session,
        )


def script_of(number: int, seconds: float, models: list[str], chance: Random) -> Script:
    """A caller by chance, somewhere in the first `seconds`."""
    patient = chance.random() < 0.15
    stream = chance.random() < 0.5
    return Script(
        number=number,
        at_seconds=chance.uniform(0, seconds) if chance.random() < 0.6 else seconds * chance.choice((0.1, 0.5)),
        model=chance.choice(models),
        words=chance.choice((1, 20, 100, 300)),
        stream=stream,
        user=chance.choice(("ann", "ann", "ann", "bob", "cid", None)),
        session=chance.choice((None, None, "s1", "s2")),
        max_tokens=chance.choice((None, 50, 400, 2_000)),
        max_cost_usd=None if patient else chance.choice((None, None, None, "0.02", "0.005")),
        timeout=None if patient else chance.choice((None, None, 2.0, 15.0)),
        max_wait_seconds=PATIENT_SECONDS if patient else chance.choice((None, None, 0, 1.5, 30.0)),
        leaves_after=chance.randint(0, 6) if stream and chance.random() < 0.15 else None,
        cancelled_after_seconds=None if patient or chance.random() < 0.8 else chance.uniform(0.0, 8.0),
    )


class Caller:
    """A caller under way in one process, and what became of it."""

    def __init__(self, script: Script, process: SimulatedProcess) -> None:
        self.script = script
        self.process = process
        self.outcome: Outcome = "lost"
        self.error: BursarError | None = None
        self.result: Result | None = None
        self.text = ""
        self.call_id = ""
        self.began_ms = process.engine.clock()
        self.ended_ms: int | None = None
        self.cancelled_ms: int | None = None

    async def run(self) -> None:
        """Call, and note what comes of it."""
        loop = asyncio.get_running_loop()
        after_seconds = self.script.cancelled_after_seconds
        handle = None if after_seconds is None else loop.call_later(after_seconds, self._cancel)
        try:
            self.outcome = await self._call()
        except BursarError as error:
            self.outcome, self.error = "failed", error
        except asyncio.CancelledError:
            self.outcome = "cancelled" if self.process.alive else "lost"
        finally:
            self.ended_ms = self.process.engine.clock()
            if handle is not None:
                handle.cancel()

    def start(self) -> asyncio.Task[None]:
        """Let it go, as a task of its process."""
        self._task = asyncio.get_running_loop().create_task(self.run())
        self.process.tasks.add(self._task)
        self._task.add_done_callback(self.process.tasks.discard)
        return self._task

    def _cancel(self) -> None:
        self.cancelled_ms = self.process.engine.clock()
        self._task.cancel()

    async def _call(self) -> Outcome:
        engine, script = self.process.engine, self.script
        route = engine.route(CHAT, script.body(), script.asked())
        self.call_id = route.first().call_id
        came = await self.process.driver.call(route, engine.observe)
        if isinstance(came, Result):
            self.result = came
            self.text = text_of(came.body or b"{}", "message")
            return "answered"
        try:
            pieces = 0
            while pieces != script.leaves_after and (payloads := await came.pull()):
                pieces += 1
                self.text += "".join(text_of(payload, "delta") for payload in payloads)
        finally:
            came.leave()
        self.result = came.result
        return "left" if came.result is None else "answered"


def text_of(body: bytes, where: str) -> str:
    """The text of a reply or of one piece of it."""
    choices = json.loads(body).get("choices") or [{}]
    return choices[0].get(where, {}).get("content") or ""

"""Sends an answer as server-sent events, and bends the stream as the fault says.

Generating and sending are apart: a provider that goes on when its client leaves has its bill settled when generation
ends, however slowly the client reads; without latency that is before the first byte. A provider that stops on cancel
bills the prompt and what it had sent.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from aiohttp import web

from bursar.sim.admission import fault_failure
from bursar.sim.delivery import ClientLeftError, hang_up, left, pause
from bursar.sim.exchange import Exchange
from bursar.sim.generation import Generation
from bursar.sim.script import Script, Step

EVENT_STREAM = "text/event-stream; charset=utf-8"


class StreamOverError(Exception):
    """The fault has ended the stream; nothing more is to be sent."""


class Sending:
    """One stream on its way. `tokens_sent` counts completion tokens, for providers that bill what they sent."""

    def __init__(self, exchange: Exchange, request: web.Request, generation: Generation, script: Script) -> None:
        self.exchange = exchange
        self.request = request
        self.generation = generation
        self.script = script
        self.tokens_sent = 0
        content_type = "text/plain" if self._fault_is("wrong_content_type") else EVENT_STREAM
        headers = [*exchange.answer_headers(), ("Content-Type", content_type), ("Cache-Control", "no-cache")]
        self.response = web.StreamResponse(headers=headers)

    async def run(self) -> web.StreamResponse:
        """Send everything. Whatever happens, the exchange is settled when this returns."""
        timer = self._settle_when_generated()
        try:
            await self._open()
            await self._content()
            self._settle_in_full()
            await self._end()
        except StreamOverError:
            pass
        except (ClientLeftError, ConnectionError):
            self._settle_left()
        finally:
            if timer is not None:
                timer.cancel()
            self._settle_left()
        return self.response

    def _fault_is(self, *kinds: str) -> bool:
        return self.exchange.fault is not None and self.exchange.fault.kind in kinds

    def _fault_position(self, count: int) -> int | None:
        """Before which content chunk the fault strikes, of so many; None where it has no place among them."""
        fault = self.exchange.fault
        if fault is None:
            return None
        usual = {"drop": 0, "malformed_json": 0, "error_in_stream": 0, "truncate": count // 2, "oversized": 0}
        position = usual.get(fault.kind) if fault.after_chunks is None else fault.after_chunks
        last = count - 1 if fault.kind in ("malformed_json", "oversized") else count
        return None if position is None else min(position, last)

    def _settle_when_generated(self) -> asyncio.TimerHandle | None:
        if self.exchange.stops_when_left or self._fault_is("error_in_stream"):
            return None
        seconds = self.exchange.pace.generation_seconds(self.generation.usage.completion_tokens)
        if not seconds:
            self._settle_in_full()
            return None
        return asyncio.get_running_loop().call_later(seconds, self._settle_in_full)

    def _settle_in_full(self) -> None:
        fault = self.exchange.fault
        usage = self.generation.usage if fault is None or fault.bills else None
        self.exchange.settle(200, usage, aborted=left(self.request))

    def _settle_left(self) -> None:
        if self.exchange.stops_when_left:
            self.exchange.settle(200, self.generation.usage_after(self.tokens_sent), aborted=True)
        else:
            self._settle_in_full()

    async def _open(self) -> None:
        exchange, fault = self.exchange, self.exchange.fault
        if exchange.pace.first_token_seconds:
            await pause(exchange, self.request, exchange.pace.first_token_seconds)
        if fault is not None and fault.kind == "stall" and fault.after_chunks is None:
            await pause(exchange, self.request, fault.seconds)
        await self.response.prepare(self.request)
        if self._fault_is("empty"):
            await self.response.write_eof()
            raise StreamOverError
        if exchange.form.comment:
            await self.response.write(exchange.form.comment)

    async def _content(self) -> None:
        for body in self.script.opening():
            await self.response.write(self.script.frame(body))
        steps = self.script.steps()
        strikes_at = self._fault_position(len(steps))
        for number, step in enumerate(steps):
            if number == strikes_at and not await self._strike(step):
                continue
            await self._send(step)
        if strikes_at == len(steps):
            await self._strike(None)
        if self.exchange.stops_when_left and left(self.request):
            raise ClientLeftError

    async def _send(self, step: Step) -> None:
        pace = self.exchange.pace
        before, content = self._frames(step)
        if step.tokens and self._fault_is("duplicate_chunks"):
            content += content
        if pace.token_seconds and step.tokens:
            await pause(self.exchange, self.request, pace.token_seconds * step.tokens)
        await self.response.write(before + content)
        self.tokens_sent += step.tokens

    def _frames(self, step: Step) -> tuple[bytes, bytes]:
        """What comes before a step, and the step; in this order, for a script may number its frames."""
        before = b"".join(map(self.script.frame, step.before))
        return before, self.script.frame(step.body)

    async def _strike(self, step: Step | None) -> bool:
        """Let the fault act before a step, or after the last. Returns whether that step is still to be sent."""
        script, fault = self.script, self.exchange.fault
        assert fault is not None
        if fault.kind == "stall":
            await pause(self.exchange, self.request, fault.seconds)
        elif fault.kind == "drop":
            self._settle_cut()
            await hang_up(self.request, reset=True)
            raise StreamOverError
        elif fault.kind == "truncate":
            self._settle_cut()
            await self.response.write_eof()
            raise StreamOverError
        elif fault.kind == "error_in_stream":
            failure = fault_failure(fault)
            usage = self.generation.usage_after(self.tokens_sent) if fault.bills else None
            self.exchange.settle(200, usage, failure=failure)
            await self.response.write(script.failure(failure, usage))
            await self.response.write_eof()
            raise StreamOverError
        elif fault.kind == "malformed_json" and step is not None:
            before, content = self._frames(step)
            await self.response.write(before + content[: len(content) // 2] + b"\n\n")
            return False
        elif fault.kind == "oversized" and step is not None:
            before, content = self._frames(replace(step, body=script.padding(fault.body_bytes)))
            await self.response.write(before + content)
            return False
        return True

    def _settle_cut(self) -> None:
        """The provider has generated it all: only the connection failed."""
        fault = self.exchange.fault
        self.exchange.settle(200, self.generation.usage if fault is None or fault.bills else None)

    async def _end(self) -> None:
        *frames, last = self.script.closing(self.exchange.fault)
        if self._fault_is("duplicate_chunks") and frames:
            frames.append(frames[-1])
        if not self._fault_is("no_done"):
            frames.append(last)
        for frame in frames:
            await self.response.write(frame)
        await self.response.write_eof()

"""POST chat/completions: the answer in OpenAI's chat form as each provider bends it, streamed or not."""

from __future__ import annotations

from itertools import chain, zip_longest

from aiohttp import web

from bursar.sim import forms
from bursar.sim.admission import admit_chat, check_key
from bursar.sim.asks import read_chat
from bursar.sim.delivery import bend_usage, read_body, send_unserved, send_whole
from bursar.sim.exchange import Exchange
from bursar.sim.failures import Failure
from bursar.sim.faults import Fault
from bursar.sim.forms import DONE, Json, Tail, event
from bursar.sim.generation import Generation
from bursar.sim.script import Step
from bursar.sim.streaming import Sending
from bursar.sim.usage import Usage


async def answer_chat(exchange: Exchange, request: web.Request) -> web.StreamResponse:
    """One chat request, from its key to its last byte."""
    check_key(exchange, request.headers)
    ask = read_chat(await read_body(request))
    admit_chat(exchange, ask, request.headers)
    generation = exchange.generation
    assert generation is not None
    if exchange.fault is not None:
        unserved = await send_unserved(exchange, request, exchange.fault, generation.usage)
        if unserved is not None:
            return unserved
    if ask.stream:
        script = ChatScript(exchange, generation, include_usage=ask.include_usage)
        return await Sending(exchange, request, generation, script).run()
    usage = exchange.form.usage(generation.usage, generation.bill)
    body = forms.reply(exchange.form, exchange.stamp, generation, usage)
    return await send_whole(exchange, request, body, generation.usage)


class ChatScript:
    """A chat stream: several choices come mixed, then their finish, then usage where the provider puts it."""

    def __init__(self, exchange: Exchange, generation: Generation, *, include_usage: bool) -> None:
        self._form = exchange.form
        self._stamp = exchange.stamp
        self._generation = generation
        self._include_usage = include_usage
        self._envelope = exchange.form.envelope(self._stamp, "chat.completion.chunk")
        if exchange.form.name in ("openai", "azure", "generic") and include_usage:
            self._envelope["usage"] = None

    def opening(self) -> list[Json]:
        return self._form.opening(self._stamp) + [
            self._chunk(choice.index, {"role": "assistant", "content": None if choice.tool_calls else ""})
            for choice in self._generation.choices
        ]

    def steps(self) -> list[Step]:
        columns = [
            [Step(self._chunk(choice.index, delta), tokens) for delta, tokens in forms.deltas(self._form, choice)]
            for choice in self._generation.choices
        ]
        return [step for step in chain.from_iterable(zip_longest(*columns)) if step is not None]

    def closing(self, fault: Fault | None) -> list[bytes]:
        generation = self._generation
        usage = bend_usage(self._form.usage(generation.usage, generation.bill), fault)
        tail = Tail(self._stamp, generation.choices, usage, self._include_usage)
        return [*map(event, self._form.tail(self._form, tail)), DONE]

    def frame(self, body: Json) -> bytes:
        return event(body)

    def padding(self, body_bytes: int) -> Json:
        return self._chunk(0, {"content": "x" * body_bytes})

    def failure(self, failure: Failure, usage: Usage | None) -> bytes:
        return self._form.stream_failure(self._stamp, failure)

    def _chunk(self, index: int, delta: Json) -> Json:
        return forms.chunk(self._form, self._envelope, index, delta)

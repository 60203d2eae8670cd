"""POST responses, as OpenAI and OpenRouter answer it: the same answers, limits and bills as in chat, in another form.

What is stored may be gone on with by its id, and is then read, and billed, again.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from bursar.sim.admission import admit_chat, check_key
from bursar.sim.asks import Message
from bursar.sim.delivery import read_body, send_unserved, send_whole
from bursar.sim.exchange import Exchange
from bursar.sim.failures import refuse
from bursar.sim.generation import Choice
from bursar.sim.responses_ask import Item, ResponseAsk, raw_calls, read_response
from bursar.sim.responses_wire import ResponseWriter
from bursar.sim.streaming import Sending


async def answer_response(exchange: Exchange, request: web.Request) -> web.StreamResponse:
    """One responses request, from its key to its last byte."""
    check_key(exchange, request.headers)
    ask = read_response(await read_body(request), strict=exchange.form.strict)
    before = earlier(exchange, ask)
    chat = ask.as_chat(before)
    admit_chat(exchange, chat, request.headers)
    generation = exchange.generation
    assert generation is not None
    if exchange.fault is not None:
        unserved = await send_unserved(exchange, request, exchange.fault, generation.usage)
        if unserved is not None:
            return unserved
    if ask.store is not False and not exchange.form.falls_back:
        exchange.desk.stored.keep(exchange.stamp.id, [*before, *ask.messages(), said(generation.choices[0])])
    writer = ResponseWriter(exchange, ask, generation, refused=chat.wishes().refuses)
    if ask.stream:
        return await Sending(exchange, request, generation, writer).run()
    return await send_whole(exchange, request, writer.whole(usage=writer.usage()), generation.usage)


def earlier(exchange: Exchange, ask: ResponseAsk) -> Sequence[Message]:
    """The stored conversation that a request goes on with; a router stores none."""
    if ask.previous_response_id is None:
        return ()
    if exchange.form.falls_back:
        message = "previous_response_id is not supported: this API keeps no state."
        refuse(message, "previous_response_id")
    return exchange.desk.stored.find(ask.previous_response_id)


def said(choice: Choice) -> Message:
    """An answer as the message that it is in what follows."""
    calls = [Item("function_call", call_id=c.id, name=c.name, arguments=c.arguments) for c in choice.tool_calls]
    return Message("assistant", choice.content, tool_calls=raw_calls(calls))

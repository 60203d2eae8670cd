"""POST messages and messages/count_tokens, as Anthropic answers them: who may ask, on which terms, streamed or not.

A request's place in the world (us) and its speed (fast) multiply the prices of its tokens; a batch halves them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from bursar.sim.admission import check_key, choose_model, find_model, given_fault, take_rate
from bursar.sim.begun import begun_in
from bursar.sim.delivery import answer, read_body, send_unserved, send_whole
from bursar.sim.exchange import Exchange
from bursar.sim.failures import RefusedRequestError, refuse
from bursar.sim.forms import encode_json
from bursar.sim.keys import key_of
from bursar.sim.markedcache import Cached, pieces_of, whole_prompt_tokens
from bursar.sim.messages_answer import Answer, answer_to, check_room
from bursar.sim.messages_ask import MessageAsk
from bursar.sim.messages_rules import read_count, read_message, too_many
from bursar.sim.messages_wire import MessageScript, reply
from bursar.sim.streaming import Sending
from bursar.sim.wishes import Wishes

VERSIONS = ("2026-10-21", "2023-06-01", "2023-01-01")
WITHOUT_GEO = ("claude-haiku-4-5", "claude-sonnet-4-5")
FAST_PERCENT = {"claude-opus-5-5": 200}
US_PERCENT = 110
BATCH_PERCENT = 50
TIERS = ("standard", "priority", "batch")


async def answer_message(exchange: Exchange, request: web.Request) -> web.StreamResponse:
    """One messages request, from its key to its last byte."""
    check_caller(exchange, request.headers)
    ask = read_message(await read_body(request))
    answered = admit_message(exchange, ask, request.headers)
    generation = answered.generation
    if exchange.fault is not None:
        unserved = await send_unserved(exchange, request, exchange.fault, generation.usage)
        if unserved is not None:
            return unserved
    if ask.stream:
        return await Sending(exchange, request, generation, MessageScript(exchange, answered)).run()
    return await send_whole(exchange, request, reply(exchange, answered), generation.usage)


async def answer_count(exchange: Exchange, request: web.Request) -> web.StreamResponse:
    """How many tokens a prompt has; nothing is billed for it."""
    check_caller(exchange, request.headers)
    ask = read_count(await read_body(request))
    exchange.asked = ask.model[:200]
    exchange.model = find_model(exchange, ask.model)
    exchange.settle(200)
    return answer(encode_json({"input_tokens": whole_prompt_tokens(pieces_of(ask))}), exchange.answer_headers())


def check_caller(exchange: Exchange, headers: Mapping[str, str]) -> None:
    """Refuse a missing or unknown key and, at Anthropic's own, a missing or unknown version of the API."""
    check_key(exchange, headers)
    if exchange.form.falls_back:
        return
    version = headers.get("anthropic-version")
    if version is None:
        refuse("anthropic-version: header is required")
    if version not in VERSIONS:
        refuse(f'anthropic-version: "{version[:40]}" is not a valid version')


def admit_message(exchange: Exchange, ask: MessageAsk, headers: Mapping[str, str]) -> Answer:
    """Decide the whole answer: its model, fault, terms, what the cache has of it, and its place in the rate limit."""
    chat = ask.as_chat()
    wishes = chat.wishes()
    exchange.asked = ask.model[:200]
    exchange.stream = ask.stream
    exchange.output_limit = ask.max_tokens
    choose_model(exchange, chat, given_fault(headers, wishes))
    model = exchange.model
    if ask.max_tokens > model.output_tokens_max:
        raise RefusedRequestError(too_many(ask.max_tokens, model.output_tokens_max, model.reported_name))
    take_terms(exchange, ask, wishes)
    desk = exchange.desk
    pieces = pieces_of(ask)
    prompt_tokens = whole_prompt_tokens(pieces)
    check_room(model, prompt_tokens)
    take_rate(exchange, prompt_tokens + ask.max_tokens)
    begun = begun_in(chat, exchange.form.goes_on, model)
    cached = Cached()
    if exchange.fault is None or exchange.fault.bills:
        owner = f"{key_of(headers, exchange.form.key_header)}\0{model.id}"
        cached = desk.marked.read_and_write(owner, pieces, exchange.at_ms)
    answered = answer_to(
        ask,
        model,
        desk.words,
        desk.config.seed,
        prompt_tokens=prompt_tokens,
        cached=cached,
        terms=exchange.terms,
        begun=begun,
    )
    exchange.generation = answered.generation
    exchange.pace = desk.clock.pace(exchange.form.speed)
    return answered


def take_terms(exchange: Exchange, ask: MessageAsk, wishes: Wishes) -> None:
    """The tier, place and speed of this request, and what they make of the price."""
    model = exchange.model.id
    percent = 100
    exchange.tier = wishes.tier if wishes.tier in TIERS and ask.service_tier != "standard_only" else "standard"
    if exchange.tier == "batch":
        percent = BATCH_PERCENT
    found: dict[str, Any] = {"service_tier": ask.service_tier, "inference_geo": "global"}
    if model in WITHOUT_GEO:
        if ask.inference_geo is not None:
            refuse(f"inference_geo is not supported for model {model}", "inference_geo")
        del found["inference_geo"]
    elif ask.inference_geo == "us":
        found["inference_geo"] = "us"
        percent = percent * US_PERCENT // 100
    if ask.speed is not None:
        found["speed"] = ask.speed
        if ask.speed == "fast":
            if model not in FAST_PERCENT:
                refuse(f"speed: 'fast' is not supported for model {model}", "speed")
            percent = percent * FAST_PERCENT[model] // 100
    if ask.metadata is not None:
        found["user"] = ask.metadata.user_id
    exchange.percent = percent
    exchange.preferences = {name: value for name, value in found.items() if value is not None}

"""Vectors of unit length, drawn from the digest of seed, model and input: one text has one vector everywhere."""

from __future__ import annotations

import base64
import math
import random
import sys
from array import array

from bursar.sim import prices, text
from bursar.sim.asks import EmbeddingAsk
from bursar.sim.exchange import Exchange
from bursar.sim.forms import Json
from bursar.sim.prices import Model
from bursar.sim.usage import Usage


def embed(exchange: Exchange, ask: EmbeddingAsk) -> tuple[Json, Usage]:
    """The reply to one ask, and what it uses."""
    model = exchange.model
    size = ask.dimensions or model.embedding_size
    seed = exchange.desk.config.seed
    rows = []
    for index, entry in enumerate(ask.inputs()):
        numbers = vector(seed, model, entry if isinstance(entry, str) else repr(entry), size)
        embedding = encode_base64(numbers) if ask.encoding_format == "base64" else numbers.tolist()
        rows.append({"object": "embedding", "index": index, "embedding": embedding})
    used = Usage(ask.prompt_tokens(), 0)
    usage: Json = {"prompt_tokens": used.prompt_tokens, "total_tokens": used.total_tokens}
    if exchange.form.falls_back:
        usage["cost"] = prices.usd(prices.bill(model, used, exchange.terms).nano_usd)
    return {"object": "list", "data": rows, "model": model.reported_name, "usage": usage}, used


def vector(seed: int, model: Model, entry: str, size: int) -> array[float]:
    """`size` numbers of 32 bits whose squares add up to 1."""
    chooser = random.Random(text.digest(seed, model.id, [entry]))
    numbers = [chooser.random() - 0.5 for _ in range(size)]
    length = math.sqrt(sum(number * number for number in numbers))
    return array("f", (number / length for number in numbers))


def encode_base64(numbers: array[float]) -> str:
    """Little-endian floats of 32 bits, as OpenAI packs them."""
    if sys.byteorder == "big":
        numbers = array("f", numbers)
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()

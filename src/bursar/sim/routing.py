"""What OpenRouter's `provider` may say, checked as its schema does, and which models it leaves to choose from.

Source: the schema of OpenRouter's SDK 1.3.84. Of the preferences, `only`, `ignore` and `max_price` decide here; the
others are checked and recorded, since each model has one provider behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import msgspec

from bursar.sim.failures import Failure, RefusedRequestError, invalid
from bursar.sim.prices import Model

Quantization = Literal[
    "int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown"
]
SortKey = Literal["price", "throughput", "latency", "exacto"]
PICO_PER_USD_A_MILLION = 1_000_000


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the schema that knows all its fields."""


class Sort(Strict, frozen=True):
    by: SortKey | None = None
    partition: Literal["model", "none"] | None = None


class Percentiles(Strict, frozen=True):
    p50: float | None = None
    p75: float | None = None
    p90: float | None = None
    p99: float | None = None


class MaxPrice(Strict, frozen=True):
    """USD per million tokens, and per request, image or minute of audio."""

    prompt: str | float | None = None
    completion: str | float | None = None
    request: str | float | None = None
    image: str | float | None = None
    audio: str | float | None = None


class Preferences(Strict, frozen=True):
    """The `provider` of a request."""

    order: list[str] | None = None
    only: list[str] | None = None
    ignore: list[str] | None = None
    allow_fallbacks: bool | None = None
    require_parameters: bool | None = None
    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    enforce_distillable_text: bool | None = None
    quantizations: list[Quantization] | None = None
    sort: SortKey | Sort | None = None
    max_price: MaxPrice | None = None
    preferred_max_latency: float | Percentiles | None = None
    preferred_min_throughput: float | Percentiles | None = None
    options: dict[str, dict[str, Any]] | None = None


def read_preferences(given: object) -> Preferences:
    """The preferences of a request. Raises RefusedRequestError with 400 for a field or value that the schema lacks."""
    try:
        return msgspec.convert(given, Preferences | None) or Preferences()
    except msgspec.ValidationError as error:
        raise RefusedRequestError(invalid(f"provider: {error}", "provider")) from error


def servable(models: Iterable[Model], given: object, providers: Mapping[str, str]) -> list[Model]:
    """The models that the preferences leave, in their order; `providers` are the slugs behind them by model id.

    Raises RefusedRequestError: 400 for bad preferences, 404 where they leave none.
    """
    preferences = read_preferences(given)
    only, ignored = preferences.only, preferences.ignore or ()
    found = list(models)
    found = [model for model in found if only is None or providers[model.id] in only]
    found = [model for model in found if providers[model.id] not in ignored]
    if not found:
        raise RefusedRequestError(Failure(404, None, "No allowed providers are available for the selected model."))
    found = [model for model in found if affordable(model, preferences.max_price or MaxPrice())]
    if not found:
        message = "No endpoints found that satisfy the requested max price."
        raise RefusedRequestError(Failure(404, None, message))
    return found


def affordable(model: Model, most: MaxPrice) -> bool:
    """Whether the model's listed prices per token stay within the most that is to be paid."""
    pairs = ((most.prompt, model.card.input), (most.completion, model.card.output))
    return all(limit is None or price <= _decimal(limit) * PICO_PER_USD_A_MILLION for limit, price in pairs)


def _decimal(written: str | float) -> Decimal:
    try:
        return Decimal(str(written))
    except InvalidOperation as error:
        message = f"provider.max_price: {written!r} is not a number"
        raise RefusedRequestError(invalid(message, "provider")) from error

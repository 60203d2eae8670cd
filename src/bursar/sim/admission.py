"""Whether a request is served, by which model, and with which fault: everything before the first token.

In a provider's order: key, body, model and its fallbacks, fault, what the model can take, rate limit. Each refusal is
raised as a RefusedRequestError; nothing is billed for it. Never sends.
"""

from __future__ import annotations

from collections.abc import Mapping

from bursar.sim import text
from bursar.sim.asks import ChatAsk, EmbeddingAsk
from bursar.sim.begun import begun_in
from bursar.sim.exchange import Exchange
from bursar.sim.failures import Failure, RefusedRequestError, from_status, invalid, unknown_model
from bursar.sim.faults import Fault, parse_fault
from bursar.sim.generation import generate
from bursar.sim.keys import key_failure, key_kind
from bursar.sim.limits import RateDenial
from bursar.sim.openrouter import slug
from bursar.sim.prices import Model
from bursar.sim.routing import servable
from bursar.sim.tiers import choose_tier
from bursar.sim.wishes import Wishes

FAULT_HEADER = "x-sim-fault"


def check_key(exchange: Exchange, headers: Mapping[str, str]) -> None:
    """Refuse a missing or unknown API key, where the provider needs one; see whose key pays behind a router."""
    if not exchange.form.needs_key:
        return
    failure = key_failure(headers, exchange.desk.config.key_prefixes, exchange.form.key_header)
    if failure is not None:
        raise RefusedRequestError(failure)
    exchange.own_key = exchange.form.falls_back and key_kind(headers, exchange.desk.config.key_prefixes) == "byok"


def admit_chat(exchange: Exchange, ask: ChatAsk, headers: Mapping[str, str]) -> None:
    """Decide the whole answer of a chat request: its model, fault, generation, pace and place in the rate limit."""
    wishes = ask.wishes()
    exchange.asked = (ask.model or (ask.models or [""])[0])[:200]
    exchange.stream = bool(ask.stream)
    exchange.choices = ask.choices
    exchange.output_limit = ask.output_limit
    exchange.preferences = preferences(ask)
    take_terms(exchange, ask)
    choose_model(exchange, ask, given_fault(headers, wishes))
    if exchange.model.embedding_size:
        raise RefusedRequestError(invalid("This is not a chat model.", "model", status=404))
    check_limits_of_output(exchange, ask)
    desk = exchange.desk
    exchange.late_ms = wishes.late_seconds * 1000
    exchange.generation = generate(
        ask,
        exchange.model,
        desk.words,
        desk.config.seed,
        wishes,
        terms=exchange.terms,
        cached_tokens=seen_before(exchange, ask, wishes),
        begun=begun_in(ask, exchange.form.goes_on, exchange.model) if exchange.kind == "chat" else "",
        echoes=exchange.form.goes_on == "prefix",
    )
    reserved = exchange.generation.usage.prompt_tokens + (ask.output_limit or 0) * ask.choices
    take_rate(exchange, reserved)
    exchange.pace = desk.clock.pace(exchange.form.speed)


def take_terms(exchange: Exchange, ask: ChatAsk) -> None:
    """On which terms this request is billed: its tier, and the tier's share of the price."""
    tier = choose_tier(exchange.form.tiers, ask.service_tier)
    if tier is not None:
        exchange.tier = tier.reported
        exchange.percent = tier.percent


def seen_before(exchange: Exchange, ask: ChatAsk, wishes: Wishes) -> int:
    """How many of the prompt's first tokens the provider has in its cache, where the request asks for a cache."""
    if ask.prompt_cache_key is None and not wishes.caches:
        return 0
    if exchange.fault is not None and not exchange.fault.bills:
        return 0
    return exchange.desk.cache.hit(exchange.model.id, ask.prompt_cache_key or "", ask.lines())


def admit_embedding(exchange: Exchange, ask: EmbeddingAsk, headers: Mapping[str, str]) -> None:
    """Decide the model, fault and place in the rate limit of an embedding request."""
    exchange.asked = ask.model[:200]
    exchange.model = find_model(exchange, ask.model)
    exchange.fault = given_fault(headers, Wishes()) or exchange.desk.faults.meet(exchange.form.name, exchange.model.id)
    if not exchange.model.embedding_size:
        raise RefusedRequestError(invalid("This model does not support embeddings.", "model"))
    if ask.dimensions is not None and not 1 <= ask.dimensions <= exchange.model.embedding_size:
        message = f"Invalid 'dimensions': expected 1 to {exchange.model.embedding_size}, but got {ask.dimensions}."
        raise RefusedRequestError(invalid(message, "dimensions"))
    take_rate(exchange, ask.prompt_tokens())
    exchange.pace = exchange.desk.clock.pace(exchange.form.speed)


def given_fault(headers: Mapping[str, str], wishes: Wishes) -> Fault | None:
    """The fault that a request asks for itself. One that is badly written is refused with 400."""
    written = headers.get(FAULT_HEADER) or wishes.fault
    if not written:
        return None
    try:
        return parse_fault(written)
    except ValueError as error:
        raise RefusedRequestError(invalid(str(error), FAULT_HEADER, "bad_fault")) from error


def find_model(exchange: Exchange, name: str) -> Model:
    model = exchange.desk.shelves[exchange.form.name].find(name)
    if model is None:
        raise RefusedRequestError(unknown_model(name[:200]))
    return model


def choose_model(exchange: Exchange, ask: ChatAsk, given: Fault | None) -> None:
    """The first candidate that is up, with the fault it meets; the last one where none is.

    A `model_down` that the request asks for itself strikes its first candidate only, so that fallbacks can be
    practised.
    """
    form = exchange.form
    names = [name for name in (ask.model, *(ask.models or ())) if name] if form.falls_back else [ask.model]
    if not names[0]:
        raise RefusedRequestError(invalid("you must provide a model parameter"))
    candidates = [find_model(exchange, name) for name in dict.fromkeys(names)]
    if form.falls_back:
        candidates = servable(candidates, ask.provider, {model.id: slug(model) for model in candidates})
    for number, model in enumerate(candidates):
        strikes = given is not None and (given.kind != "model_down" or number == 0)
        exchange.model = model
        exchange.fault = given if strikes else exchange.desk.faults.meet(form.name, model.id)
        if exchange.fault is None or (exchange.fault is given and given.kind != "model_down"):
            return
        if not goes_elsewhere(exchange.fault):
            return


def goes_elsewhere(fault: Fault) -> bool:
    """Whether a router would try the next model after this fault."""
    return fault.kind == "model_down" or (fault.kind == "status" and (fault.status or 0) >= 429)


def check_limits_of_output(exchange: Exchange, ask: ChatAsk) -> None:
    """What strict providers refuse: limits above the model's maximum, or in a field that the model does not know."""
    if ask.stream_options is not None and not exchange.form.takes_stream_options:
        raise RefusedRequestError(
            invalid("Extra inputs are not permitted", "stream_options.include_usage", "extra_forbidden", 422)
        )
    if not exchange.form.strict:
        return
    model = exchange.model
    if exchange.form.name == "openai" and text.reasons(model) and ask.max_tokens is not None:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        raise RefusedRequestError(invalid(message, "max_tokens", "unsupported_parameter"))
    limit = ask.output_limit
    if limit is not None and limit > model.output_tokens_max:
        message = (
            f"max_tokens is too large: {limit}. This model supports at most {model.output_tokens_max} completion "
            f"tokens, whereas you provided {limit}."
        )
        raise RefusedRequestError(invalid(message, "max_tokens", "invalid_value"))
    if ask.stream_options is not None and not ask.stream:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise RefusedRequestError(invalid(message, "stream_options"))


def take_rate(exchange: Exchange, tokens: int) -> None:
    """Take a request and its tokens from the rate limit, or refuse with 429. Requests that are to fail take nothing."""
    if exchange.fault is not None and not exchange.fault.bills:
        return
    denial = exchange.desk.meters[exchange.form.name].take(tokens)
    if denial is not None:
        raise RefusedRequestError(rate_failure(exchange, denial))
    exchange.reserved_tokens = tokens


def rate_failure(exchange: Exchange, denial: RateDenial) -> Failure:
    """429 in a provider's words; Retry-After is left out where the request can never fit."""
    period = "day (RPD)" if denial.meter == "requests" and exchange.form.name == "groq" else "min"
    numbers = f"Limit {denial.limit}, Used {denial.used}, Requested {denial.requested}."
    if denial.wait_ms is None:
        message = f"Request too large for {exchange.asked} on {denial.meter} per {period}: {numbers}"
    else:
        seconds = denial.wait_ms / 1000
        message = (
            f"Rate limit reached for {exchange.asked} on {denial.meter} per {period}: {numbers} "
            f"Please try again in {seconds:g}s."
        )
    return Failure(
        429,
        "rate_limit_exceeded",
        message,
        kind=denial.meter,
        retry_after_ms=denial.wait_ms,
        limit=denial.limit,
    )


def fault_failure(fault: Fault) -> Failure:
    """The failure that a fault with a status answers with."""
    retry_after_ms = None if fault.retry_after_seconds is None else round(fault.retry_after_seconds * 1000)
    usual = 502 if fault.kind == "html" else 503 if fault.kind == "model_down" else 500
    return from_status(fault.status or usual, fault.code, retry_after_ms)


def preferences(ask: ChatAsk) -> dict[str, object]:
    """The fields that a test may want to see arrive."""
    fields = {
        "provider": ask.provider,
        "models": ask.models,
        "user": ask.user,
        "session_id": ask.session_id,
        "service_tier": ask.service_tier,
        "include_usage": ask.include_usage or None,
    }
    return {name: value for name, value in fields.items() if value is not None}

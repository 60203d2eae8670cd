"""OpenRouter's own record of what it served: GET generation, key, credits and activity.

What a client settles by after it left a stream, and what its owner looks at. Answers only from the simulator's record;
never bills. Source: OpenRouter's API reference and SDK schema of 2026, and recorded answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from aiohttp import web

from bursar.sim.activity import activity_rows
from bursar.sim.control import show
from bursar.sim.exchange import Desk
from bursar.sim.failures import Failure
from bursar.sim.forms import Json
from bursar.sim.keys import key_failure, key_kind
from bursar.sim.openrouter import OPENROUTER, upstream_of
from bursar.sim.prices import DAY_MS, usd
from bursar.sim.record import Entry, Record
from bursar.sim.wallclock import iso

CREDITS_USD = 1000
FREE_REQUESTS_A_DAY = 1000
DAYS_SHOWN = 30


def add_lookup_routes(app: web.Application, desk: Desk) -> None:
    """GET generation and key, for any good key; GET credits and activity, for one whose prefix `mgmt-` follows."""

    async def generation(request: web.Request) -> web.StreamResponse:
        name = request.query.get("id", "")
        page = generation_page(desk.record, name, desk.wall.now_ms())
        missing = Failure(404, None, f"Generation {name[:200]} not found")
        return answer(denied(request, desk) or (missing if page is None else None), page)

    async def key(request: web.Request) -> web.StreamResponse:
        return answer(denied(request, desk), key_page(desk.record, desk.wall.now_ms()))

    async def credits_left(request: web.Request) -> web.StreamResponse:
        used = usd(desk.record.billed_nano_usd("openrouter"))
        page = {"data": {"total_credits": CREDITS_USD, "total_usage": used}}
        return answer(denied(request, desk, management=True), page)

    async def activity(request: web.Request) -> web.StreamResponse:
        rows = finished_days(activity_rows(desk.record.entries(), desk.served_name), desk.wall.now_ms())
        day = request.query.get("date")
        page = {"data": [row for row in rows if day in (None, row["date"])]}
        return answer(denied(request, desk, management=True), page)

    for path, page in (("generation", generation), ("key", key), ("credits", credits_left), ("activity", activity)):
        app.router.add_get(f"{OPENROUTER.prefix}/{path}", page)


def denied(request: web.Request, desk: Desk, *, management: bool = False) -> Failure | None:
    """Why the key of this request may not look, if it may not."""
    prefixes = desk.config.key_prefixes
    failure = key_failure(request.headers, prefixes)
    if failure is None and management and key_kind(request.headers, prefixes) != "mgmt":
        return Failure(403, None, "Only management keys can perform this operation")
    return failure


def answer(failure: Failure | None, page: Json | None) -> web.StreamResponse:
    if failure is None:
        return show(page)
    return show(OPENROUTER.failure_body(failure), status=failure.status)


def generation_page(record: Record, reply_id: str, now_ms: int) -> Json | None:
    """The body of GET generation?id=, or None where there is none of that id, or not yet."""
    found = (entry for entry in record.find(reply_id) if entry.id == reply_id and entry.provider == "openrouter")
    entry = next((entry for entry in found if entry.status in (0, 200)), None)
    return None if entry is None or entry.found_at_ms > now_ms else {"data": generation(entry)}


def generation(entry: Entry) -> Json:
    """One generation as OpenRouter keeps it: what was delivered and billed, whoever went on listening."""
    usage = entry.usage
    cost = usd(entry.billed_nano_usd)
    provider = upstream_of(entry.model)
    own_key = entry.upstream_nano_usd is not None
    upstream_id = f"chatcmpl-{entry.id.rpartition('-')[2]}"
    finish_reason = None if entry.aborted else "stop"
    return {
        "id": entry.id,
        "upstream_id": upstream_id,
        "request_id": f"req-{entry.id.rpartition('-')[2]}",
        "api_type": "embeddings" if entry.kind == "embeddings" else "completions",
        "created_at": iso(entry.at_ms),
        "model": entry.model,
        "provider_name": provider,
        "router": None,
        "service_tier": entry.tier or None,
        "streamed": entry.stream,
        "cancelled": entry.aborted,
        "finish_reason": finish_reason,
        "native_finish_reason": finish_reason,
        "total_cost": cost,
        "usage": cost,
        "is_byok": own_key,
        "upstream_inference_cost": usd(entry.upstream_nano_usd or 0),
        "cache_discount": None,
        "tokens_prompt": usage["prompt_tokens"],
        "tokens_completion": usage["completion_tokens"],
        "native_tokens_prompt": usage["prompt_tokens"],
        "native_tokens_completion": usage["completion_tokens"],
        "native_tokens_completion_images": usage.get("image_completion_tokens", 0) or None,
        "native_tokens_reasoning": usage["reasoning_tokens"],
        "native_tokens_cached": usage["cached_tokens"],
        "num_search_results": usage.get("web_searches", 0) or None,
        "latency": entry.generation_ms,
        "generation_time": entry.generation_ms,
        "origin": entry.headers.get("http-referer", ""),
        "external_user": entry.preferences.get("user"),
        "provider_responses": [
            {"id": upstream_id, "provider_name": provider, "is_byok": own_key, "status": 200},
        ],
    }


def key_page(record: Record, now_ms: int) -> Json:
    """The body of GET key: a key without a limit, and what it used in all and of late."""
    entries = [entry for entry in record.entries() if entry.provider == "openrouter"]
    spans = {"daily": 1, "weekly": 7, "monthly": 30}
    used = {
        f"usage_{span}": usd(sum(entry.billed_nano_usd for entry in since(entries, days, now_ms)))
        for span, days in spans.items()
    }
    free = sum(entry.model.endswith(":free") and entry.status == 200 for entry in since(entries, 1, now_ms))
    return {
        "data": {
            "label": "sk-sim-...",
            "limit": None,
            "limit_remaining": None,
            "limit_reset": None,
            "include_byok_in_limit": False,
            "usage": usd(record.billed_nano_usd("openrouter")),
            **used,
            "byok_usage": usd(sum(entry.upstream_nano_usd or 0 for entry in entries)),
            "is_free_tier": False,
            "free_model_daily_requests": {
                "limit": FREE_REQUESTS_A_DAY,
                "used": free,
                "remaining": max(0, FREE_REQUESTS_A_DAY - free),
            },
            "expires_at": None,
            "rate_limit": {"requests": -1, "interval": "10s", "note": "This field is deprecated."},
        }
    }


def since(entries: Sequence[Entry], days: int, now_ms: int) -> list[Entry]:
    """The entries of this UTC day and those before it, so many days in all."""
    first_ms = (now_ms // DAY_MS - days + 1) * DAY_MS
    return [entry for entry in entries if entry.at_ms >= first_ms]


def finished_days(rows: Iterable[Mapping[str, object]], now_ms: int) -> list[Mapping[str, object]]:
    """The rows of the last thirty days that are over: OpenRouter shows no day before its end."""
    today, first = (iso(at_ms)[:10] for at_ms in (now_ms, now_ms - DAYS_SHOWN * DAY_MS))
    return [row for row in rows if first <= str(row["date"]) < today]

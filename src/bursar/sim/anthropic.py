"""Anthropic's form: its errors, its headers, its usage. It speaks messages only; `messages_wire` writes its replies.

Source: https://docs.anthropic.com/en/api, and recorded responses of 2025 and 2026. A successful answer may carry
Retry-After, too; no client should wait for it then.
"""

from __future__ import annotations

from datetime import UTC, datetime

from bursar.sim.failures import Failure
from bursar.sim.forms import Form, HeaderList, Json, Stamp, encode_json, retry_after
from bursar.sim.latency import Speed
from bursar.sim.limits import MINUTE_MS, UNLIMITED, Meter, Standing
from bursar.sim.prices import Bill, Model
from bursar.sim.usage import Usage

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
SPENT = "enforced_spend_limit_reached"
TOKEN_LIMITS = ("tokens", "input-tokens", "output-tokens")


def named_event(body: Json) -> bytes:
    """A server-sent event that says its type twice, as Anthropic's and OpenAI's Responses do."""
    return b"event: " + str(body["type"]).encode() + b"\ndata: " + encode_json(body) + b"\n\n"


def envelope(stamp: Stamp, kind: str) -> Json:
    return {"id": stamp.id, "type": kind, "role": "assistant", "model": stamp.model.reported_name}


def usage(used: Usage, bill: Bill) -> Json:
    """The counts of a request without the tier and place that served it; input excludes what the cache had part in."""
    found: Json = {
        "input_tokens": used.prompt_tokens - used.cached_tokens - used.cache_write_tokens,
        "cache_creation_input_tokens": used.cache_write_tokens,
        "cache_read_input_tokens": used.cached_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": used.cache_write_tokens - used.cache_write_1h_tokens,
            "ephemeral_1h_input_tokens": used.cache_write_1h_tokens,
        },
        "output_tokens": used.completion_tokens,
    }
    if used.reasoning_tokens:
        found["output_tokens_details"] = {"thinking_tokens": used.reasoning_tokens}
    if used.web_searches:
        found["server_tool_use"] = {"web_search_requests": used.web_searches, "web_fetch_requests": 0}
    return found


def failure_body(failure: Failure) -> Json:
    kind = KINDS.get(failure.status) or ("api_error" if failure.status >= 500 else "invalid_request_error")
    message = failure.message
    if failure.status == 401:
        message = "x-api-key header is required" if failure.code is None else "invalid x-api-key"
    elif failure.code == "model_not_found":
        message = f"model: {failure.subject}"
    error: Json = {"type": kind, "message": message}
    if failure.code == SPENT:
        error["details"] = {"error_code": SPENT}
    return {"type": "error", "error": error}


def failure_headers(failure: Failure, now_ms: int) -> HeaderList:
    again = failure.code != SPENT and (failure.status in (408, 409, 429) or failure.status >= 500)
    return [*retry_after(failure), ("x-should-retry", "true" if again else "false")]


def rate_headers(meter: Meter, at_ms: int) -> HeaderList:
    """anthropic-ratelimit headers: what the limit on tokens leaves holds for input and output each."""
    unlimited = [Standing(name, UNLIMITED, UNLIMITED - 1, 0) for name in ("requests", "tokens")]
    requests, tokens = meter.standings() if meter.enforced else unlimited
    found: HeaderList = []
    for name, standing in (("requests", requests), *((name, tokens) for name in TOKEN_LIMITS)):
        found += [
            (f"anthropic-ratelimit-{name}-limit", str(standing.capacity)),
            (f"anthropic-ratelimit-{name}-remaining", str(standing.remaining)),
            (f"anthropic-ratelimit-{name}-reset", rfc3339(at_ms + standing.reset_ms)),
        ]
    if meter.enforced:
        found.append(("retry-after", str(-(-requests.reset_ms // 1000))))
    return found


def rfc3339(at_ms: int) -> str:
    """A time to the second, rounded up.

    >>> rfc3339(1_000)
    '1970-01-01T00:00:01Z'
    """
    return datetime.fromtimestamp(-(-at_ms // 1000), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def model_row(model: Model) -> Json:
    return {
        "type": "model",
        "id": model.reported_name,
        "display_name": model.id,
        "created_at": "2025-09-29T00:00:00Z",
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.output_tokens_max,
    }


ANTHROPIC = Form(
    name="anthropic",
    prefix="/anthropic/v1",
    needs_key=True,
    key_header="x-api-key",
    speed=Speed(0.80, 0.014),
    request_period_ms=MINUTE_MS,
    gives_back=True,
    strict=True,
    falls_back=False,
    shows_reasoning=True,
    rate_headers=rate_headers,
    comment=b"",
    reply_id=lambda serial, created: f"msg_{serial}",
    envelope=envelope,
    choice_extras=lambda finish_reason: {},
    usage=usage,
    tail=lambda form, end: [],
    identity_headers=lambda stamp: [
        ("request-id", stamp.request_id),
        ("anthropic-organization-id", "00000000-0000-4000-8000-000000000000"),
    ],
    failure_body=failure_body,
    failure_headers=failure_headers,
    stream_failure=lambda stamp, failure: named_event(failure_body(failure) | {"request_id": stamp.request_id}),
    model_row=model_row,
    errors_name_request=True,
    goes_on="plain",
    speaks=("messages", "count_tokens"),
)

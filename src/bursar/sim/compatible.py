"""The other providers that speak OpenAI's form, each a row of what it does differently.

Where they are mounted: /azure/openai/v1, /gemini/v1beta/openai, /mistral/v1, /deepseek, /xai/v1, /together/v1,
/fireworks/inference/v1, /cerebras/v1, as below their own addresses.
"""

from __future__ import annotations

from dataclasses import replace

from bursar.sim import quirks
from bursar.sim.forms import Form, event
from bursar.sim.generic import GENERIC
from bursar.sim.latency import Speed
from bursar.sim.limits import DAY_MS
from bursar.sim.openai import OPENAI
from bursar.sim.openai import failure_body as openai_failure
from bursar.sim.openai import failure_headers as openai_failure_headers

AZURE = replace(
    OPENAI,
    name="azure",
    prefix="/azure/openai/v1",
    speaks=("chat",),
    key_header="api-key",
    opening=quirks.azure_opening,
    rate_headers=quirks.azure_headers,
    choice_extras=lambda finish_reason: {"content_filter_results": {}},
    identity_headers=lambda stamp: [("apim-request-id", stamp.request_id), ("x-ms-region", "Sim")],
    failure_body=quirks.azure_failure,
    stream_failure=lambda stamp, failure: event(quirks.azure_failure(failure)),
)

KEYED = replace(
    GENERIC,
    needs_key=True,
    goes_on="",
    speaks=("chat",),
    failure_body=openai_failure,
    failure_headers=openai_failure_headers,
    stream_failure=lambda stamp, failure: event(openai_failure(failure)),
)
"""A plain server behind a key, with OpenAI's errors: what most of the others start from."""

GEMINI = replace(
    KEYED,
    name="gemini",
    prefix="/gemini/v1beta/openai",
    speed=Speed(0.50, 0.005),
    reply_id=lambda serial, created: f"sim{serial}",
    usage=quirks.gemini_usage,
    failure_body=quirks.gemini_failure,
    failure_headers=lambda failure, now_ms: [],
    stream_failure=lambda stamp, failure: event(quirks.gemini_failure(failure)[0]),
)
MISTRAL = replace(
    KEYED,
    name="mistral",
    prefix="/mistral/v1",
    speed=Speed(0.30, 0.008),
    takes_stream_options=False,
    goes_on="prefix",
    rate_headers=quirks.mistral_headers,
    reply_id=lambda serial, created: f"{serial:0>32}",
    usage=quirks.mistral_usage,
    tail=quirks.usage_at_the_end,
    failure_body=quirks.mistral_failure,
    stream_failure=lambda stamp, failure: event(quirks.mistral_failure(failure)),
)
DEEPSEEK = replace(
    KEYED,
    name="deepseek",
    prefix="/deepseek",
    speed=Speed(1.00, 0.020),
    comment=b": keep-alive\n\n",
    body_lead=b"\n\n\n",
    shows_reasoning=True,
    usage=quirks.deepseek_usage,
    tail=quirks.usage_at_the_end,
)
XAI = replace(
    KEYED,
    name="xai",
    prefix="/xai/v1",
    speed=Speed(0.40, 0.008),
    usage=quirks.xai_usage,
    tail=quirks.usage_at_the_end,
    identity_headers=lambda stamp: [("x-request-id", stamp.request_id)],
    failure_body=quirks.xai_failure,
    stream_failure=lambda stamp, failure: event(quirks.xai_failure(failure)),
)
TOGETHER = replace(
    KEYED,
    name="together",
    prefix="/together/v1",
    speed=Speed(0.30, 0.010),
    usage=quirks.cached_usage,
    tail=quirks.usage_at_the_end,
)
FIREWORKS = replace(
    KEYED,
    name="fireworks",
    prefix="/fireworks/inference/v1",
    speed=Speed(0.30, 0.008),
    usage=quirks.cached_usage,
    tail=quirks.usage_at_the_end,
)
CEREBRAS = replace(
    KEYED,
    name="cerebras",
    prefix="/cerebras/v1",
    speed=Speed(0.15, 0.001),
    request_period_ms=DAY_MS,
    gives_back=False,
    shows_reasoning=True,
    rate_headers=quirks.cerebras_headers,
    usage=quirks.cerebras_usage,
    tail=quirks.usage_at_the_end,
    identity_headers=lambda stamp: [("inference-id", stamp.id)],
    failure_body=quirks.flat_failure,
    stream_failure=lambda stamp, failure: event(quirks.flat_failure(failure)),
)
COMPATIBLE: tuple[Form, ...] = (AZURE, GEMINI, MISTRAL, DEEPSEEK, XAI, TOGETHER, FIREWORKS, CEREBRAS)

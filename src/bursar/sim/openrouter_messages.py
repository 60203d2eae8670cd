"""OpenRouter's second door, POST messages: Anthropic's form with OpenRouter's keys, ids, models and costs.

Source: OpenRouter's SDK schema of 2026. Its usage has the cost beside Anthropic's counts, once it is final; errors are
in Anthropic's form. No version of the API is asked for.
"""

from __future__ import annotations

from dataclasses import replace

from bursar.sim import anthropic
from bursar.sim.anthropic import ANTHROPIC
from bursar.sim.forms import Json
from bursar.sim.openrouter import OPENROUTER, cost_fields
from bursar.sim.prices import NOTHING, Bill
from bursar.sim.usage import Usage


def usage(used: Usage, bill: Bill) -> Json:
    """Anthropic's counts, and the cost once there is one."""
    counts = anthropic.usage(used, bill)
    return counts if bill is NOTHING else counts | cost_fields(used, bill)


OPENROUTER_MESSAGES = replace(
    ANTHROPIC,
    name=OPENROUTER.name,
    prefix=OPENROUTER.prefix,
    key_header=OPENROUTER.key_header,
    speed=OPENROUTER.speed,
    strict=OPENROUTER.strict,
    falls_back=True,
    rate_headers=None,
    comment=OPENROUTER.comment,
    reply_id=OPENROUTER.reply_id,
    usage=usage,
    identity_headers=OPENROUTER.identity_headers,
    cancel_stops=OPENROUTER.cancel_stops,
    speaks=("messages",),
)

"""What a stream used whose caller left and that was closed at once, where `on_abort: counted` asks for a number.

Decides a number that nobody said: what was delivered, and a margin. It is what the books carry instead of the bound,
marked as estimated, and the one way in which a provider may have billed more than is charged; so it is the user's
choice alone. Source: DESIGN section 4, invariant 1, and section 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from bursar.call.plan import Plan
from bursar.rules.usage import Usage
from bursar.wire.dialect import Metered
from bursar.wire.readings import Chunk, reading_of

__all__ = ["counted"]

# English has more than four bytes to a token, code about three, and few scripts less.
BYTES_PER_TOKEN = 3
# Estimates of tokens are seldom off by more.
MARGIN_PERCENT = 25
# What is generated before the provider hears that nobody reads it: half a second of a fast model.
ON_THE_WAY_TOKENS = 64


def counted(plan: Plan, metered: Metered, delivered: Sequence[bytes]) -> Usage:
    """The usage that a stream is charged for, of which the caller has seen these payloads; never below what it said.

    A payload is a token at least: reasoning that is not shown as text is counted by them.
    """
    read = reading_of(plan.request.dialect).chunk
    text_bytes = sum(_text_bytes(read(payload)) for payload in delivered)
    output_tokens = _with_margin(max(len(delivered), -(-text_bytes // BYTES_PER_TOKEN))) + ON_THE_WAY_TOKENS
    said = metered.usage
    if said is None:
        return Usage.of(_with_margin(plan.demand.rate_input_tokens), output_tokens)
    more = max(output_tokens - said.output_tokens, 0)
    return replace(said, leaves=MappingProxyType({**said.leaves, "output": said.leaves.get("output", 0) + more}))


def _text_bytes(chunk: Chunk) -> int:
    arguments = [str(call.get("function", {}).get("arguments") or "") for call in chunk.tool_calls]
    return len("".join([chunk.text, *arguments]).encode("utf-8", "surrogatepass"))


def _with_margin(tokens: int) -> int:
    return -(-tokens * (100 + MARGIN_PERCENT) // 100)

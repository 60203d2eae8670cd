"""What the parts of a messages request must be to each other: Anthropic refuses with 400 what OpenAI lets pass.

Source: Anthropic's API reference, and the words of its errors as clients have reported them. Every refusal names the
place, as in `messages.2.content.0`. Never looks at models or prices.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import TypeVar

import msgspec

from bursar.sim.failures import Failure, RefusedRequestError, invalid, refuse
from bursar.sim.messages_ask import (
    CountAsk,
    Marked,
    MessageAsk,
    OfferedTool,
    RedactedThinkingBlock,
    ThinkingBlock,
    ToolResultBlock,
)
from bursar.sim.messages_turns import check_results, check_turn

Ask = TypeVar("Ask", bound=CountAsk)
MARKERS_MAX = 4
BUDGET_TOKENS_MIN = 1024
GEOS = ("global", "us")
TOOL_FIELDS = {"type", "name", "description", "input_schema", "cache_control", "strict", "input_examples"} | {
    "eager_input_streaming",
    "defer_loading",
    "allowed_callers",
}
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]*)`(?: - at `\$\.?(.*)`)?$")
_MISSING = re.compile(r"Object missing required field `([^`]*)`(?: - at `\$\.?(.*)`)?$")
_WRONG = re.compile(r"^(.*?) - at `\$\.?(.*)`$")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def read_message(body: bytes) -> MessageAsk:
    """A messages request that Anthropic would begin to answer. Raises RefusedRequestError."""
    ask = decode_strict(body, MessageAsk)
    check_numbers(ask)
    check_conversation(ask)
    check_thinking(ask)
    return ask


def read_count(body: bytes) -> CountAsk:
    """A request to count tokens. Raises RefusedRequestError."""
    ask = decode_strict(body, CountAsk)
    check_conversation(ask)
    return ask


def decode_strict(body: bytes, shape: type[Ask]) -> Ask:
    """A body as its shape, or the words in which Anthropic says which field is wrong."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise RefusedRequestError(invalid(worded(str(error)))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedRequestError(invalid("The request body is not valid JSON.")) from error


def worded(error: str) -> str:
    """A decoder's complaint in the API's words.

    >>> worded("Object contains unknown field `n`")
    'n: Extra inputs are not permitted'
    >>> worded("Object missing required field `max_tokens`")
    'max_tokens: Field required'
    """
    for pattern, words in ((_UNKNOWN, "Extra inputs are not permitted"), (_MISSING, "Field required")):
        found = pattern.match(error)
        if found:
            return f"{place(found.group(2), found.group(1))}: {words}"
    found = _WRONG.match(error)
    return f"{place(found.group(2))}: Input should be valid ({found.group(1)})" if found else error


def place(path: str | None, name: str = "") -> str:
    """Where something stands, with dots."""
    steps = (path or "").replace("[", ".").replace("]", "")
    return ".".join(part for part in (steps, name) if part)


def check_numbers(ask: MessageAsk) -> None:
    if ask.max_tokens < 1:
        refuse("max_tokens: Input should be greater than or equal to 1")
    if ask.temperature is not None and not 0 <= ask.temperature <= 1:
        refuse("temperature: range: 0..1")
    if ask.top_p is not None and not 0 <= ask.top_p <= 1:
        refuse("top_p: range: 0..1")
    if ask.top_k is not None and ask.top_k < 0:
        refuse("top_k: Input should be greater than or equal to 0")
    for number, sequence in enumerate(ask.stop_sequences):
        if not sequence.strip():
            refuse(f"stop_sequences.{number}: each stop sequence must contain non-whitespace")
    if ask.inference_geo not in (None, *GEOS):
        refuse(f"inference_geo: Input should be {' or '.join(map(repr, GEOS))}")


def check_conversation(ask: CountAsk) -> None:
    if not ask.model:
        refuse("model: String should have at least 1 character")
    if not ask.messages:
        refuse("messages: at least one message is required")
    if ask.messages[0].role == "assistant":
        refuse('messages: first message must use the "user" role')
    for number, turn in enumerate(ask.messages):
        check_turn(turn, number, last=number == len(ask.messages) - 1)
    check_results(ask.messages)
    check_tools(ask)
    check_markers(ask)


def check_tools(ask: CountAsk) -> None:
    try:
        offered = ask.offered()
    except msgspec.ValidationError as error:
        raise RefusedRequestError(invalid(f"tools.{worded(str(error))}")) from error
    for number, (raw, tool) in enumerate(zip(ask.tools, offered, strict=True)):
        check_tool(tool, msgspec.json.decode(raw, type=dict[str, msgspec.Raw]), number)
    names = [tool.name for tool in offered]
    if len(set(names)) != len(names):
        refuse("tools: Tool names must be unique.")
    choice = ask.tool_choice
    if choice is None:
        return
    if not offered:
        refuse("tool_choice may only be specified while providing tools.")
    if (choice.type == "tool") != (choice.name is not None):
        refuse("tool_choice.tool.name: Field required" if choice.name is None else "tool_choice: unexpected name")
    if choice.name is not None and choice.name not in names:
        refuse(f"Tool '{choice.name}' not found in provided tools")


def check_tool(tool: OfferedTool, given: Mapping[str, object], number: int) -> None:
    """A tool of the client's own; those of Anthropic have fields of their own, too many to hold here."""
    if not tool.custom:
        return
    where = f"tools.{number}.custom"
    for name in sorted(given.keys() - TOOL_FIELDS):
        refuse(f"{where}.{name}: Extra inputs are not permitted")
    if not _TOOL_NAME.fullmatch(tool.name):
        refuse(f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    if tool.input_schema is None:
        refuse(f"{where}.input_schema: Field required")
    if tool.input_schema.get("type") != "object":
        refuse(f"{where}.input_schema.type: Input should be 'object'")


def check_markers(ask: CountAsk) -> None:
    blocks = [*ask.offered(), *ask.system_blocks(), *(block for turn in ask.messages for block in turn.blocks())]
    controls = [block.cache_control for block in blocks if isinstance(block, Marked | OfferedTool)]
    found = [control for control in controls if control is not None]
    if len(found) > MARKERS_MAX:
        refuse(f"A maximum of {MARKERS_MAX} blocks with cache_control may be provided. Found {len(found)}.")
    for earlier, later in pairwise(found):
        if (earlier.ttl, later.ttl) == ("5m", "1h"):
            refuse("a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block.")


def check_thinking(ask: MessageAsk) -> None:
    thinking = ask.thinking
    if thinking is None or not ask.thinks:
        return
    if thinking.type == "enabled":
        budget = thinking.budget_tokens
        if budget is None:
            refuse("thinking.enabled.budget_tokens: Field required")
        if budget < BUDGET_TOKENS_MIN:
            refuse(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {BUDGET_TOKENS_MIN}")
        if budget >= ask.max_tokens:
            refuse("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if ask.temperature not in (None, 1) or ask.top_k is not None:
        refuse("`temperature` may only be set to 1, and `top_k` not at all, when thinking is enabled.")
    if ask.tool_choice is not None and ask.tool_choice.type in ("any", "tool"):
        refuse("Thinking may not be enabled when tool_choice forces tool use.")
    turns = ask.messages
    if turns[-1].role == "assistant":
        refuse("When `thinking` is enabled, the final message may not be an assistant message to be continued.")
    if isinstance(turns[-1].blocks()[0], ToolResultBlock) and not isinstance(
        turns[-2].blocks()[0], ThinkingBlock | RedactedThinkingBlock
    ):
        refuse(
            f"messages.{len(turns) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`. When `thinking` is "
            "enabled, a final `assistant` message must start with a thinking block."
        )


def too_many(number: int, most: int, model: str) -> Failure:
    """The refusal of a limit above the model's."""
    return invalid(
        f"max_tokens: {number} > {most}, which is the maximum allowed number of output tokens for {model}", "max_tokens"
    )

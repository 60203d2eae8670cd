"""The body of POST responses: items turned into the chat that they stand for, or refused as OpenAI would.

What each item may hold, and that calls and their outputs belong together, is checked here; models, limits and prices
are chat's to check. Source: OpenAI's API reference and its SDK's types of 2026.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from bursar.sim.asks import ChatAsk, Message, Part, decode
from bursar.sim.failures import refuse

ROLES = ("user", "assistant", "system", "developer")
PARTS = {"assistant": ("output_text", "refusal")}
PARTS_OF_OTHERS = ("input_text", "input_image", "input_file", "input_audio")
MOVED = {"messages": "input", "max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens"}
UNKNOWN = ("n", "functions", "function_call", "response_format", "stop", "modalities", "audio")
SEARCHES = ("web_search", "web_search_preview")
OUTPUT_TOKENS_MIN = 16


class InputPart(msgspec.Struct, frozen=True):
    type: str
    text: str = ""
    refusal: str = ""
    image_url: str | None = None


class Item(msgspec.Struct, frozen=True):
    """One item of the input, whatever its type; a message need not say that it is one."""

    type: str = "message"
    role: str = ""
    content: str | list[InputPart] | None = None
    id: str | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str | list[InputPart] | None = None


class ResponseTool(msgspec.Struct, frozen=True):
    type: str
    name: str | None = None
    parameters: dict[str, Any] | None = None


class ResponseAsk(msgspec.Struct, frozen=True):
    """The body of POST responses, as far as the simulator reads it."""

    model: str = ""
    models: list[str] | None = None
    input: str | list[Item] = ""
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    tools: list[ResponseTool] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    background: bool | None = None
    include: list[str] | None = None
    reasoning: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    provider: Any = None
    plugins: list[dict[str, Any]] | None = None
    user: str | None = None
    session_id: str | None = None

    def items(self) -> list[Item]:
        return [Item(role="user", content=self.input)] if isinstance(self.input, str) else self.input

    def messages(self) -> list[Message]:
        """The items as chat's messages."""
        return [message_of(item) for item in self.items()]

    def as_chat(self, earlier: Sequence[Message] = ()) -> ChatAsk:
        """The chat that this continues: the instructions, what was stored of it, the items."""
        instructions = [Message("system", self.instructions)] if self.instructions else []
        tools = [tool for tool in self.tools or () if tool.type == "function"]
        functions = [{"type": "function", "function": {"name": t.name, "parameters": t.parameters}} for t in tools]
        searches = any(tool.type.startswith(SEARCHES) for tool in self.tools or ())
        return ChatAsk(
            model=self.model,
            models=self.models,
            messages=[*instructions, *earlier, *self.messages()],
            stream=self.stream,
            max_completion_tokens=self.max_output_tokens,
            tools=msgspec.Raw(msgspec.json.encode(functions)) if functions else msgspec.Raw(),
            tool_choice=chat_choice(self.tool_choice),
            provider=self.provider,
            plugins=self.plugins,
            user=self.user,
            session_id=self.session_id,
            service_tier=self.service_tier,
            prompt_cache_key=self.prompt_cache_key,
            web_search_options={} if searches else None,
        )


def message_of(item: Item) -> Message:
    """An item as the message that it is in chat."""
    if item.type == "function_call":
        return Message("assistant", None, tool_calls=raw_calls([item]))
    if item.type == "function_call_output":
        return Message("tool", parts_of(item.output))
    return Message(item.role or "assistant", parts_of(item.content))


def raw_calls(calls: Sequence[Item]) -> msgspec.Raw:
    """Function calls as a chat message holds them; none where there are none."""
    rows = [{"id": call.call_id, "function": {"name": call.name, "arguments": call.arguments}} for call in calls]
    return msgspec.Raw(msgspec.json.encode(rows)) if rows else msgspec.Raw()


def parts_of(content: str | list[InputPart] | None) -> list[Part]:
    if isinstance(content, str):
        return [Part("text", content)]
    return [
        Part("image_url") if part.type == "input_image" else Part("text", part.text or part.refusal)
        for part in content or ()
    ]


def chat_choice(choice: Any) -> Any:
    """A tool choice as chat writes it."""
    if isinstance(choice, dict) and choice.get("type") == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return choice if choice in ("auto", "none", "required") else None


def read_response(body: bytes, *, strict: bool) -> ResponseAsk:
    """A responses request whose items fit together. `strict` is OpenAI itself. Raises RefusedRequestError."""
    fields = decode(body, dict[str, msgspec.Raw])
    for name, place in MOVED.items():
        if name in fields:
            message = f"Unsupported parameter: '{name}'. In the Responses API, this parameter has moved to '{place}'."
            refuse(message, name, "unsupported_parameter")
    for name in UNKNOWN:
        if name in fields and strict:
            refuse(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    ask = decode(body, ResponseAsk)
    if not ask.input and ask.previous_response_id is None:
        refuse("Missing required parameter: 'input'.", "input", "missing_required_parameter")
    limit, least = ask.max_output_tokens, OUTPUT_TOKENS_MIN if strict else 1
    if limit is not None and limit < least:
        message = (
            f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {least}, but got {limit} "
            "instead."
        )
        refuse(message, "max_output_tokens", "integer_below_min_value")
    if ask.background:
        refuse("The simulator does not answer in the background.", "background", "unsupported_parameter")
    for number, item in enumerate(ask.items()):
        check_item(item, f"input[{number}]")
    check_calls(ask)
    for number, tool in enumerate(ask.tools or ()):
        if tool.type == "function" and not tool.name:
            place = f"tools[{number}].name"
            refuse(f"Missing required parameter: '{place}'.", place, "missing_required_parameter")
    return ask


def check_item(item: Item, where: str) -> None:
    if item.type == "message":
        if item.role not in ROLES:
            refuse(
                f"Invalid value: '{item.role}'. Supported values are: {', '.join(map(repr, ROLES))}.", where + ".role"
            )
        allowed = PARTS.get(item.role, PARTS_OF_OTHERS)
        for number, part in enumerate(item.content if isinstance(item.content, list) else ()):
            if part.type not in allowed:
                message = f"Invalid value: '{part.type}'. Supported values are: {', '.join(map(repr, allowed))}."
                refuse(message, f"{where}.content[{number}]", "invalid_value")
    elif item.type in ("function_call", "function_call_output") and not item.call_id:
        refuse(f"Missing required parameter: '{where}.call_id'.", where + ".call_id", "missing_required_parameter")


def check_calls(ask: ResponseAsk) -> None:
    """Each call has its output and, unless the call is stored, each output its call."""
    called = {item.call_id for item in ask.items() if item.type == "function_call"}
    answered = {item.call_id for item in ask.items() if item.type == "function_call_output"}
    for call_id in sorted(called - answered):
        refuse(f"No tool output found for function call {call_id}.", "input")
    for call_id in sorted(answered - called):
        if ask.previous_response_id is None:
            refuse(f"No tool call found for function call output with call_id {call_id}.", "input")

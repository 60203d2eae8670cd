"""What a client asks for: a JSON body turned into a ChatAsk or an EmbeddingAsk, or refused as a provider would.

Unknown fields are let through, as providers do; known ones must have their type and range. Never looks at models or
prices.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from bursar.sim import usage
from bursar.sim.failures import RefusedRequestError, invalid
from bursar.sim.wishes import NO_WISHES, Wishes, read_wishes

Body = TypeVar("Body")
CHOICES_MAX = 128
INPUTS_MAX = 2048
_PATH = re.compile(r" - at `\$\.?(.*)`$")


class Part(msgspec.Struct, frozen=True):
    type: str
    text: str = ""


class Message(msgspec.Struct, frozen=True):
    role: str
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: msgspec.Raw = msgspec.Raw()
    prefix: bool | None = None

    def texts(self) -> list[str]:
        content = self.content
        if isinstance(content, str):
            found = [content]
        else:
            found = [part.text for part in content or () if part.text]
        if self.name:
            found.append(self.name)
        if self.tool_calls:
            found.append(bytes(self.tool_calls).decode("utf-8", "replace"))
        return found

    def images(self) -> int:
        content = self.content
        return sum(part.type == "image_url" for part in content) if isinstance(content, list) else 0


class ToolFunction(msgspec.Struct, frozen=True):
    name: str
    parameters: dict[str, Any] | None = None


class Tool(msgspec.Struct, frozen=True):
    type: str = "function"
    function: ToolFunction | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class ChatAsk(msgspec.Struct, frozen=True):
    """The body of POST chat/completions, as far as the simulator reads it."""

    model: str = ""
    messages: Sequence[Message] = ()
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    tools: msgspec.Raw = msgspec.Raw()
    tool_choice: Any = None
    models: list[str] | None = None
    provider: Any = None
    user: str | None = None
    session_id: str | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    web_search_options: dict[str, Any] | None = None
    plugins: list[dict[str, Any]] | None = None
    continue_final_message: bool = False
    add_generation_prompt: bool | None = None

    @property
    def choices(self) -> int:
        return self.n or 1

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)

    @property
    def output_limit(self) -> int | None:
        """The smaller of the limits that the client set, in tokens a choice; None where it set none."""
        limits = [limit for limit in (self.max_tokens, self.max_completion_tokens) if limit is not None]
        return min(limits) if limits else None

    def searches(self, wished: int | None) -> int:
        """How many web searches the answer makes: none that is not allowed, else what is wished for, else one."""
        plugged = any(plugin.get("id") == "web" for plugin in self.plugins or ())
        allowed = plugged or self.web_search_options is not None or self.model.endswith(":online")
        return (1 if wished is None else wished) if allowed else 0

    def lines(self) -> list[str]:
        """The prompt as lines of text, roles included: what the answer is a function of."""
        found: list[str] = []
        for message in self.messages:
            found.append(message.role)
            found.extend(message.texts())
        return found

    def without_last(self) -> ChatAsk:
        """The conversation before its last message."""
        return msgspec.structs.replace(self, messages=self.messages[:-1])

    def prompt_tokens(self) -> int:
        texts = [text for message in self.messages for text in message.texts()]
        images = sum(message.images() for message in self.messages)
        return usage.prompt_tokens(texts, len(self.messages), images, len(bytes(self.tools)))

    def wishes(self) -> Wishes:
        """The wishes of the last user message; tools are not called again once their results are in."""
        for message in reversed(self.messages):
            if message.role == "user":
                wishes = read_wishes(" ".join(message.texts()))
                if wishes.tools and self.messages[-1].role != "user":
                    return replace(wishes, tools=())
                return wishes
        return NO_WISHES

    def tool_list(self) -> list[Tool]:
        """The tools offered. Raises RefusedRequestError where they are not a list of tools."""
        raw = bytes(self.tools)
        return decode(raw, list[Tool]) if raw and raw != b"null" else []


class EmbeddingAsk(msgspec.Struct, frozen=True):
    """The body of POST embeddings."""

    model: str = ""
    input: str | list[str | int | list[int]] = ""
    encoding_format: str = "float"
    dimensions: int | None = None
    user: str | None = None

    def inputs(self) -> list[str | list[int]]:
        """One entry for each vector wanted: a text, or a list of token numbers."""
        given = self.input
        if isinstance(given, str):
            return [given]
        numbers = [entry for entry in given if isinstance(entry, int)]
        return [numbers] if numbers else [entry for entry in given if not isinstance(entry, int)]

    def prompt_tokens(self) -> int:
        return sum(usage.text_tokens(entry) if isinstance(entry, str) else len(entry) for entry in self.inputs())


def decode(body: bytes, shape: type[Body]) -> Body:
    """A body as its shape. Raises RefusedRequestError: 400, naming the field where there is one."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        where = _PATH.search(str(error))
        param = where.group(1) if where else None
        raise RefusedRequestError(invalid(f"Invalid type: {error}.", param, "invalid_type")) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = "We could not parse the JSON body of your request. The API expects a JSON payload."
        raise RefusedRequestError(invalid(message)) from error


def read_chat(body: bytes) -> ChatAsk:
    """A chat request whose fields have their types and ranges. Raises RefusedRequestError."""
    ask = decode(body, ChatAsk)
    if not ask.model and not ask.models:
        raise RefusedRequestError(invalid("you must provide a model parameter"))
    if not ask.messages:
        message = "Invalid 'messages': empty array. Expected an array with minimum length 1."
        raise RefusedRequestError(invalid(message, "messages", "empty_array"))
    for name, number in (("max_tokens", ask.max_tokens), ("max_completion_tokens", ask.max_completion_tokens)):
        if number is not None and number < 1:
            message = f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {number} instead."
            raise RefusedRequestError(invalid(message, name, "integer_below_min_value"))
    if ask.n is not None and not 1 <= ask.n <= CHOICES_MAX:
        raise RefusedRequestError(invalid(f"Invalid 'n': expected 1 to {CHOICES_MAX}, but got {ask.n} instead.", "n"))
    return ask


def read_embedding(body: bytes) -> EmbeddingAsk:
    """An embedding request with at least one input. Raises RefusedRequestError."""
    ask = decode(body, EmbeddingAsk)
    if not ask.model:
        raise RefusedRequestError(invalid("you must provide a model parameter"))
    inputs = ask.inputs()
    if not inputs or len(inputs) > INPUTS_MAX or not all(inputs):
        raise RefusedRequestError(invalid("'$.input' is invalid.", "input"))
    if ask.encoding_format not in ("float", "base64"):
        raise RefusedRequestError(invalid("'encoding_format' must be 'float' or 'base64'.", "encoding_format"))
    return ask

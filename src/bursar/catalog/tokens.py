"""Tokens counted offline, with the vocabularies that ship with Bursar.

Decides which vocabulary a model has and how many tokens a prompt comes to. What `count_messages` returns is a count,
not a bound: it is exact for plain chat with OpenAI's models, can be 20 % low where tools were called, and more for
other makers' models (`knows` tells them apart). A hard bound takes UTF-8 bytes, or `count_at_most` of every piece of
the text (`wire/wording`) where `own_vocabularies` says that the models are known. Never touches the network and never
raises on odd messages, which pass through to the provider unchanged whatever they hold.

Source: OpenAI's cookbook ("How to count tokens with tiktoken") for the framing of messages; the constants that differ
were fitted to recorded usage in November 2026, and `tests/catalog/test_tokens.py` holds them to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol

from bursar.catalog.tool_types import json_text, namespace

__all__ = ["count_at_most", "count_messages", "count_text", "encoding_for", "knows", "own_vocabularies"]

# tiktoken's regular expressions overflow their stack on a million blanks; a sum over chunks is within 1 token a seam.
CHUNK_CHARACTERS_MAX = 65_536

MESSAGE_TOKENS = 3
NAME_TOKENS = 1
REPLY_TOKENS = 3
REASONING_REPLY_TOKENS = 2
O1_MINI_DEVELOPER_TOKENS = 7

TOOLS_TOKENS = 9
TOOLS_WITH_SYSTEM_TOKENS = 5  # the blank line that ends a system message is there already
TOOLS_GPT_5_TOKENS = 105  # gpt-5 and later were seen 80 to 104 tokens above the rendering; the high end is safe
TOOL_CALL_TOKENS = 8
PARALLEL_TOOL_CALL_TOKENS = 16  # several calls in one message are wrapped in a call of their own

IMAGE_LOW_DETAIL_TOKENS = 85
IMAGE_TOKENS = 1_445  # 85 + 170 for each of 8 tiles, the most that gpt-4o makes of one image
IMAGE_GPT_4O_MINI_TOKENS = 48_169  # 2,833 + 5,667 for each of 8 tiles
AUDIO_TOKENS = 600  # a minute, at 10 tokens a second
FILE_TOKENS = 1_000  # a PDF of one line was recorded at 219; a few pages

_CL100K_PREFIXES = ("gpt-4", "gpt-3.5", "gpt-35", "text-embedding-", "davinci-002", "babbage-002")
_O200K_PREFIXES = ("gpt-4o", "gpt-4.", "gpt-5", "chatgpt-4o", "o1", "o3", "o4")
_REASONING_PREFIXES = ("o1", "o3", "o4", "gpt-5")

# Where a name says whose model answers: by what the names of OpenAI's models begin with there.
_MAKERS_PREFIX = {"openai": "", "azure": "", "openrouter": "openai/"}
CALLS_REMEMBERED_MAX = 1_024


class Encoder(Protocol):
    """What counting needs of a tokeniser."""

    def encode_ordinary(self, text: str) -> list[int]: ...


def encoding_for(model: str) -> str:
    """The name of the shipped vocabulary for a model: its own, or o200k_base where its own is not shipped.

    Providers' prefixes and the mark of a fine-tune are looked through.

    >>> encoding_for("gpt-4-turbo"), encoding_for("openrouter/openai/gpt-4.1"), encoding_for("claude-opus-5")
    ('cl100k_base', 'o200k_base', 'o200k_base')
    """
    name = _maker_name(model)
    if name.startswith(_CL100K_PREFIXES) and not name.startswith(_O200K_PREFIXES):
        return "cl100k_base"
    return "o200k_base"


def knows(model: str) -> bool:
    """Whether the vocabulary that `encoding_for` names is the model's own, so that `count_text` is exact for it.

    >>> knows("gpt-4o-mini"), knows("anthropic/claude-sonnet-4.5")
    (True, False)
    """
    return _maker_name(model).startswith(_CL100K_PREFIXES + _O200K_PREFIXES)


@lru_cache(maxsize=CALLS_REMEMBERED_MAX)
def own_vocabularies(price_provider: str, models: tuple[str, ...]) -> tuple[str, ...]:
    """The vocabularies of the models that a call can reach; none at all where that of one of them is not known.

    A server of the user's own can call any model gpt-4o, so its names are not believed.

    Args:
        price_provider: whose models they are; see `Provider`.
        models: as that provider names them.

    >>> own_vocabularies("openai", ("gpt-4o", "gpt-4")), own_vocabularies("openrouter", ("openai/gpt-4o", "x/gpt-4o"))
    (('cl100k_base', 'o200k_base'), ())
    """
    prefix = _MAKERS_PREFIX.get(price_provider)
    if prefix is None or not all(model.startswith(prefix) and knows(model) for model in models):
        return ()
    return tuple(sorted({encoding_for(model) for model in models}))


def count_at_most(text: str, vocabularies: tuple[str, ...]) -> int:
    """The most tokens that a text can be in any of these vocabularies, by name.

    Raises:
        ValueError: see `count_text`.
    """
    seams = len(text) // CHUNK_CHARACTERS_MAX
    return seams + max(count_text(text, name) for name in vocabularies)


def count_text(text: str, encoding_name: str) -> int:
    """The tokens of a text. What looks like a special token (`<|endoftext|>`) counts as the plain text it is.

    Raises:
        ValueError: no such vocabulary is shipped, or its file is damaged.
    """
    from bursar.catalog.vocabularies import encoding

    if not text:
        return 0
    encoder = encoding(encoding_name)
    starts = range(0, len(text), CHUNK_CHARACTERS_MAX)
    return sum(count_chunk(text[start : start + CHUNK_CHARACTERS_MAX], encoder) for start in starts)


def count_chunk(chunk: str, encoder: Encoder) -> int:
    """The tokens of a short text; its UTF-8 bytes, which are never fewer, where the tokeniser panics."""
    try:
        return len(encoder.encode_ordinary(chunk))
    except BaseException as panic:
        # A panic in Rust arrives as a BaseException of a class that cannot be imported.
        if type(panic).__name__ != "PanicException":
            raise
        return len(chunk.encode("utf-8", "surrogatepass"))


def count_messages(messages: object, model: str, tools: object = None, response_format: object = None) -> int:
    """The input tokens of a chat completions request.

    Args:
        messages: the `messages` field, of any shape.
        model: as it is named to the provider, with or without prefixes.
        tools: the `tools` field.
        response_format: the `response_format` field; only a JSON schema adds tokens.
    """
    vocabulary = encoding_for(model)
    name = _maker_name(model)
    reasoning = name.startswith(_REASONING_PREFIXES)
    total = REASONING_REPLY_TOKENS if reasoning else REPLY_TOKENS
    listed = messages if isinstance(messages, list | tuple) else [messages]
    for message in listed:
        total += _message_tokens(message, name, vocabulary)
    if tools:
        total += count_text(namespace(tools), vocabulary)
        total += TOOLS_WITH_SYSTEM_TOKENS if _any_system(listed) else TOOLS_TOKENS
        total += TOOLS_GPT_5_TOKENS if name.startswith("gpt-5") else 0
    return total + _format_tokens(response_format, vocabulary)


def _maker_name(model: str) -> str:
    """`openrouter/openai/gpt-4o:free` and `ft:gpt-4o:us::id` to `gpt-4o...`."""
    return model.rsplit("/", 1)[-1].lower().removeprefix("ft:")


def _any_system(messages: list[object] | tuple[object, ...]) -> bool:
    return any(isinstance(message, Mapping) and message.get("role") == "system" for message in messages)


def _message_tokens(message: object, name: str, vocabulary: str) -> int:
    if not isinstance(message, Mapping):
        return MESSAGE_TOKENS + count_text(_text(message), vocabulary)
    total = MESSAGE_TOKENS + count_text(_text(message.get("role")), vocabulary)
    total += _content_tokens(message.get("content"), name, vocabulary)
    total += count_text(_text(message.get("refusal")), vocabulary)
    total += _call_tokens(message.get("tool_calls"), vocabulary)
    if message.get("function_call"):
        total += _call_tokens([{"function": message["function_call"]}], vocabulary)
    if message.get("name"):
        total += NAME_TOKENS + count_text(_text(message["name"]), vocabulary)
    if name.startswith("o1-mini") and message.get("role") == "developer":
        total += O1_MINI_DEVELOPER_TOKENS
    return total


def _content_tokens(content: object, name: str, vocabulary: str) -> int:
    if isinstance(content, list | tuple):
        return sum(_part_tokens(part, name, vocabulary) for part in content)
    return count_text(_text(content), vocabulary)


def _part_tokens(part: object, name: str, vocabulary: str) -> int:
    if not isinstance(part, Mapping):
        return count_text(_text(part), vocabulary)
    match part.get("type"):
        case "text" | "input_text" | "output_text":
            return count_text(_text(part.get("text")), vocabulary)
        case "refusal":
            return count_text(_text(part.get("refusal")), vocabulary)
        case "image_url" | "input_image":
            return _image_tokens(part, name)
        case "input_audio":
            return AUDIO_TOKENS
        case "file" | "input_file":
            return FILE_TOKENS
        case _:
            return count_text(_text(part), vocabulary)


def _image_tokens(part: Mapping[str, object], name: str) -> int:
    image = part.get("image_url")
    detail = image.get("detail") if isinstance(image, Mapping) else part.get("detail")
    mini = name.startswith("gpt-4o-mini")
    if detail == "low" and not mini:
        return IMAGE_LOW_DETAIL_TOKENS
    return IMAGE_GPT_4O_MINI_TOKENS if mini else IMAGE_TOKENS


def _call_tokens(calls: object, vocabulary: str) -> int:
    if not isinstance(calls, list | tuple):
        return count_text(_text(calls), vocabulary)
    total = 0
    for call in calls:
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            total += count_text(_text(function.get("name")), vocabulary)
            total += count_text(_text(function.get("arguments")), vocabulary)
        else:
            total += count_text(_text(call), vocabulary)
    return total + len(calls) * (TOOL_CALL_TOKENS if len(calls) == 1 else PARALLEL_TOOL_CALL_TOKENS)


def _format_tokens(response_format: object, vocabulary: str) -> int:
    if not isinstance(response_format, Mapping) or response_format.get("type") != "json_schema":
        return 0
    named = response_format.get("json_schema")
    schema = named.get("schema", named) if isinstance(named, Mapping) else named
    return count_text(_text(schema), vocabulary)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json_text(value)

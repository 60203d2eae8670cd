"""The fields of a chat body as those of Anthropic's messages.

Decides, field by field, what is translated, what goes on as it is because it is Anthropic's own, what may be left away
because it is the default and changes nothing, and that everything else is refused by name. Never leaves away what the
caller set. Source: OpenAI's API reference, POST /chat/completions; Anthropic's, POST /messages; November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from bursar.errors import InvalidRequestError
from bursar.wire import asked
from bursar.wire.body import Fields, merge
from bursar.wire.lenient import as_dict, decode, opens_with
from bursar.wire.openai_chat import LIMIT_FIELDS
from bursar.wire.translation.conversation import conversation_of
from bursar.wire.translation.refusals import decoded, untranslatable
from bursar.wire.translation.thinking import EFFORTS, effort_of, thinking_of
from bursar.wire.translation.tools import tool_choice_of, tools_of

__all__ = ["translated"]

# Fields of Anthropic's own that a caller may add: they change no form that has to be translated back.
_OWN = ("cache_control", "context_management", "inference_geo", "output_config", "speed", "thinking", "top_k")
_TRANSLATED = frozenset(
    {
        *("model", "messages", *LIMIT_FIELDS, "stream", "stream_options", "stop", "temperature", "top_p"),
        *("tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort", "service_tier"),
        *("user", "safety_identifier", "metadata"),
    }
)
# Values that say what is so without them.
_DEFAULTS: Mapping[str, tuple[object, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "store": (False,),
    "verbosity": ("medium",),
}
_STREAM_OPTIONS: Mapping[str, tuple[object, ...]] = {"include_usage": (True, False), "include_obfuscation": (False,)}
# "default" is the plain tier by name; "auto" may use capacity that was bought ahead, and is Anthropic's default.
_SERVICE_TIERS: Mapping[str, str] = {"default": "standard_only", "standard_only": "standard_only", "auto": "auto"}


class _Schema(msgspec.Struct, forbid_unknown_fields=True):
    schema: msgspec.Raw
    name: str = ""  # a label that no model is shown
    strict: bool | None = None  # a schema is always kept to
    description: None = None


class _TextFormat(msgspec.Struct, tag_field="type", tag="text"):
    pass


class _JsonSchema(msgspec.Struct, tag_field="type", tag="json_schema", forbid_unknown_fields=True):
    json_schema: _Schema


class _Metadata(msgspec.Struct, forbid_unknown_fields=True):
    user_id: str | None = None


_FORMAT = msgspec.json.Decoder(_TextFormat | _JsonSchema)
_METADATA = msgspec.json.Decoder(_Metadata)


def translated(fields: Fields, model: str, output_tokens: int | None) -> dict[str, Any]:
    """The body for `model`, with the output limit, of the fields of a chat body. Linear in their size.

    Raises InvalidRequestError naming the field that has no counterpart.
    """
    for name in fields:
        if name not in _TRANSLATED and name not in _OWN and asked.present(fields, name):
            _only_default(name, decode(fields[name]), _DEFAULTS.get(name, ()))
    _check_stream_options(fields)
    conversation = conversation_of(fields["messages"])
    tools = tools_of(fields)
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": output_tokens,
        "system": conversation.system or None,
        "messages": conversation.turns,
        "tools": tools or None,
        "tool_choice": tool_choice_of(fields, tools),
        "stream": asked.flag(fields, "stream") or None,
        "stop_sequences": _stop(fields) or None,
        "temperature": _temperature(fields),
        "top_p": fields["top_p"] if asked.present(fields, "top_p") else None,
        "service_tier": _service_tier(fields),
        "metadata": _metadata(fields),
    }
    body |= {name: fields[name] for name in _OWN if asked.present(fields, name)}
    body |= _output(fields, model, output_tokens)
    return {name: value for name, value in body.items() if value is not None}


def _only_default(name: str, value: object, defaults: tuple[object, ...]) -> None:
    # True == 1 in Python, and neither is the other's default.
    if not any(value == default and isinstance(value, bool) == isinstance(default, bool) for default in defaults):
        raise untranslatable(name)


def _check_stream_options(fields: Fields) -> None:
    for name, value in as_dict(decode(fields["stream_options"]) if "stream_options" in fields else None).items():
        if value is not None:
            _only_default(f"stream_options.{name[:64]}", value, _STREAM_OPTIONS.get(name, ()))


def _stop(fields: Fields) -> list[str]:
    if asked.present(fields, "stop") and opens_with(fields["stop"], b'"'):
        return [asked.text(fields, "stop")]
    return asked.texts(fields, "stop")


def _temperature(fields: Fields) -> msgspec.Raw | None:
    if not asked.present(fields, "temperature"):
        return None
    number = decode(fields["temperature"])
    if isinstance(number, bool) or not isinstance(number, int | Decimal):
        raise InvalidRequestError("temperature must be a number")
    if not 0 <= number <= 1:
        raise untranslatable("temperature", "it must be between 0 and 1")
    return fields["temperature"]


def _service_tier(fields: Fields) -> str | None:
    given = asked.text(fields, "service_tier")
    if given and given not in _SERVICE_TIERS:
        raise untranslatable("service_tier", f"it must be one of {', '.join(_SERVICE_TIERS)}")
    return _SERVICE_TIERS.get(given)


def _metadata(fields: Fields) -> dict[str, object] | None:
    """Who the call is for, which chat says in one of three fields."""
    given = decoded(_METADATA, fields["metadata"], "metadata") if asked.present(fields, "metadata") else _Metadata()
    users = {
        name for name in (asked.text(fields, "user"), asked.text(fields, "safety_identifier"), given.user_id) if name
    }
    if len(users) > 1:
        raise untranslatable("user", "it, safety_identifier and metadata.user_id are one field there, and differ")
    return {"user_id": users.pop()} if users else None


def _output(fields: Fields, model: str, output_tokens: int | None) -> dict[str, object]:
    """How hard to think, and the form of the answer, which stand together in `output_config`."""
    found: dict[str, object] = {}
    config: dict[str, object] = {}
    if asked.present(fields, "response_format"):
        wanted = decoded(_FORMAT, fields["response_format"], "response_format")
        if isinstance(wanted, _JsonSchema):
            config["format"] = {"type": "json_schema", "schema": wanted.json_schema.schema}
    word = asked.text(fields, "reasoning_effort")
    if word:
        if word != "none" and word not in EFFORTS:
            raise untranslatable("reasoning_effort", f"it must be one of none, {', '.join(EFFORTS)}")
        if effort := effort_of(model, word):
            config["effort"] = effort
        if not asked.present(fields, "thinking"):
            found["thinking"] = thinking_of(model, word, output_tokens)
    if config:
        own = fields.get("output_config")
        for name in as_dict(decode(own)) if own else ():
            if name in config:
                raise untranslatable(f"output_config.{name}", "it is also given in the words of chat")
        found["output_config"] = merge(own, config)
    return found

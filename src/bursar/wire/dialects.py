"""Which dialects there are, by name and by path, and which one a request goes out in.

The one place where names and paths are looked up. Knows no provider: which dialects one speaks is a column of its row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.dialect import Dialect
from bursar.wire.embeddings import Embeddings
from bursar.wire.openai_chat import OpenAIChat
from bursar.wire.openai_responses import OpenAIResponses
from bursar.wire.translation.chat_over_messages import ChatOverMessages

__all__ = ["dialect_at", "dialect_named", "translation"]

# Codecs without state: one of each serves every client.
_FORMATS: tuple[Dialect, ...] = (OpenAIChat(), OpenAIResponses(), AnthropicMessages(), Embeddings())
# What is asked for, what is spoken instead, and the dialect that leads from one to the other.
_WAYS: Mapping[tuple[str, str], Dialect] = MappingProxyType(
    {(OpenAIChat.name, AnthropicMessages.name): ChatOverMessages()}
)
_BY_NAME: Mapping[str, Dialect] = MappingProxyType({dialect.name: dialect for dialect in (*_FORMATS, *_WAYS.values())})


def dialect_named(name: str) -> Dialect | None:
    """The dialect of this name, translations among them; None for one that there is not."""
    return _BY_NAME.get(name)


def dialect_at(path: str) -> Dialect | None:
    """The format that is spoken at a path, whatever stands before it; None for one that is not spoken.

    >>> dialect_at("/openai/v1/chat/completions?x=1").name, dialect_at("/v1/images")
    ('openai_chat', None)
    """
    plain = "/" + path.partition("?")[0].partition("#")[0].strip("/")
    return next((dialect for dialect in _FORMATS if plain.endswith(dialect.path)), None)


def translation(asked: str, spoken: Collection[str]) -> Dialect | None:
    """The dialect in which a request of format `asked` goes to a provider that speaks these.

    The format itself where it is spoken, else the way to one that is; None where there is none.

    >>> translation("openai_chat", ["anthropic_messages"]).name, translation("embeddings", ["anthropic_messages"])
    ('chat_over_messages', None)
    """
    if asked in spoken:
        return dialect_named(asked)
    return next((_WAYS[asked, name] for name in spoken if (asked, name) in _WAYS), None)

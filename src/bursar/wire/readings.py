"""How a reply is read by people, by the dialect that the caller asked in.

Decides which classes read the whole replies and the chunks of a dialect; they all answer to the same names. A reply
that was translated is read as what the caller asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, Self

from bursar.wire.anthropic_messages import AnthropicMessages
from bursar.wire.messages_reply import MessagesDelta, MessagesReply
from bursar.wire.openai_responses import OpenAIResponses
from bursar.wire.reply import ChatReply, Delta
from bursar.wire.responses_reply import ResponsesDelta, ResponsesReply

__all__ = ["Chunk", "Reading", "Whole", "reading_of"]


class Whole(Protocol):
    """A whole reply. Never raises on what a provider sent."""

    def __init__(self, body: bytes) -> None: ...

    @classmethod
    def of_chunks(cls, payloads: Sequence[bytes]) -> Self:
        """The reply that a stream's chunks come to."""

    @property
    def raw(self) -> dict[str, Any]:
        """All of it, decoded."""

    @property
    def text(self) -> str:
        """Its text; "" when it has none."""

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The tools that it calls, in chat's form; [] for none."""

    @property
    def finish_reason(self) -> str | None:
        """Why it ended, in the provider's word."""


class Chunk(Protocol):
    """One event of a streamed reply. `payload` holds its bytes as they came.

    restarted: the reply begins anew with it; what came before is void. Set on what a client shows, where it was asked
    for.
    """

    payload: bytes
    restarted: bool

    def __init__(self, payload: bytes) -> None: ...

    @property
    def raw(self) -> dict[str, Any]:
        """All of it, decoded."""

    @property
    def text(self) -> str:
        """The text that it adds; "" when it adds none."""

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The fragments of tool calls that it carries; [] for none."""

    @property
    def finish_reason(self) -> str | None:
        """Why the reply ended; None before it has."""


class Reading(NamedTuple):
    """The classes that read a dialect."""

    whole: type[Whole]
    chunk: type[Chunk]


_CHAT = Reading(ChatReply, Delta)
_READINGS = {
    OpenAIResponses.name: Reading(ResponsesReply, ResponsesDelta),
    AnthropicMessages.name: Reading(MessagesReply, MessagesDelta),
}


def reading_of(dialect: str) -> Reading:
    """How replies are read to a request that was made in the dialect of this name.

    >>> reading_of("anthropic_messages").chunk.__name__, reading_of("chat_over_messages").chunk.__name__
    ('MessagesDelta', 'Delta')
    """
    return _READINGS.get(dialect, _CHAT)

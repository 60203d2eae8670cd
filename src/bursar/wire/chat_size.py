"""How large a chat request can be at most, in tokens, from its bytes or its text; see `extent` for what counts as what.

Decides where in a chat body images, attachments and references to stored prompts stand.
"""

from __future__ import annotations

from functools import partial

import msgspec

from bursar.wire import asked
from bursar.wire.body import Fields
from bursar.wire.dialect import Count
from bursar.wire.extent import Extent, Tally
from bursar.wire.lenient import EMPTY, opens_with
from bursar.wire.wording import text_tokens

__all__ = ["extent_of"]

# Top-level keys that name something stored at the provider which becomes part of the prompt.
_STORED_PROMPTS = frozenset({"preset", "prompt", "conversation", "previous_response_id"})
# Ask for speech; what a model is told of its voice out of sight was never recorded, so bytes stay the bound.
_SPEECH = ("audio", "modalities")


class _Message(msgspec.Struct, gc=False):
    content: msgspec.Raw = EMPTY
    images: msgspec.Raw = EMPTY
    audio: msgspec.Raw = EMPTY


_MESSAGES = msgspec.json.Decoder(list[_Message])


def extent_of(
    body: bytes, fields: Fields, models: tuple[str, ...], context_tokens: int, count: Count | None = None
) -> Extent:
    """The bound and the estimate for a chat body. models: every model that may read it. count: see `Dialect.size`."""
    if count and any(asked.present(fields, name) for name in _SPEECH):
        count = None
    return _tally(fields.get("messages")).extent(
        len(body),
        models,
        context_tokens,
        tools="tools" in fields or "functions" in fields,
        stored=not _STORED_PROMPTS.isdisjoint(fields),
        counted=partial(text_tokens, fields, ("messages",), count) if count else None,
    )


def _tally(messages: msgspec.Raw | None) -> Tally:
    tally = Tally()
    if messages is None:
        return tally
    try:
        listed = _MESSAGES.decode(messages)
    except (ValueError, RecursionError):
        # No message list that a provider would take: all of it counts as text, and nothing bounds what it refers to.
        tally.add_attachment()
        return tally
    tally.messages = len(listed)
    for message in listed:
        if opens_with(message.content, b"[{"):
            tally.add_parts(message.content)
        if opens_with(message.images, b"[{"):
            tally.add_parts(message.images)
        if opens_with(message.audio, b"{"):
            tally.add_attachment()  # an earlier reply that the provider keeps
    return tally

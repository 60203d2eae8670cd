"""What a scripted provider says: replies in order, whole, in pieces, broken or never; and ready-made chat replies."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec.structs import replace

from bursar.call.exchange import Answer, Exchange, Failed


class Stall:
    """See STALL."""

    def __repr__(self) -> str:
        return "STALL"


# In place of a reply or of a piece of one: nothing comes until the caller leaves, the deadline or the close.
STALL: Final = Stall()


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """A reply whose body arrives in pieces. A Failed among them breaks it there; a STALL keeps it waiting."""

    pieces: Sequence[bytes | Failed | Stall]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "text/event-stream"})


Said = Answer | StreamedAnswer | Failed | Stall
Step = Said | Callable[[Exchange], Said]


class Script:
    """The replies still to come, and the exchanges that were asked for. Thread-safe."""

    def __init__(self, steps: Iterable[Step], otherwise: Step | None) -> None:
        self._steps = deque(steps)
        self._otherwise = otherwise
        self._lock = threading.Lock()
        self.exchanges: list[Exchange] = []

    def next(self, exchange: Exchange) -> Said:
        """What this exchange gets. Raises AssertionError when the script has come to its end."""
        with self._lock:
            self.exchanges.append(exchange)
            step = self._steps.popleft() if self._steps else self._otherwise
        if step is None:
            raise AssertionError(f"the script has no reply for exchange {len(self.exchanges)} ({exchange.url})")
        return _on_the_wire(step(exchange) if callable(step) else step, exchange)


def _on_the_wire(said: Said, exchange: Exchange) -> Said:
    """A reply comes as it arrives where that was asked for and the status is below 300, else whole."""
    if isinstance(said, Answer) and exchange.stream and said.status < 300:
        return StreamedAnswer([said.body], said.status, said.headers)
    if not isinstance(said, StreamedAnswer) or (exchange.stream and said.status < 300):
        return said
    whole = b""
    for piece in said.pieces:
        if isinstance(piece, Stall):
            return piece
        if isinstance(piece, Failed):
            return replace(piece, sent=True, status=said.status, headers=said.headers)
        whole += piece
    return Answer(said.status, said.headers, whole)


def chat_answer(
    text: str = "", *, model: str = "gpt-4o-mini", input_tokens: int = 10, output_tokens: int = 5, **fields: Any
) -> Answer:
    """A reply of OpenAI's chat completions. `fields` are further ones at its top level, or replace them."""
    reply = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": _usage(input_tokens, output_tokens),
    }
    return Answer(200, {"content-type": "application/json"}, json.dumps(reply | fields).encode())


def chat_stream(
    texts: Iterable[str], *, model: str = "gpt-4o-mini", input_tokens: int = 10, output_tokens: int = 5
) -> StreamedAnswer:
    """A streamed reply of OpenAI's chat completions: a piece for each text, then the end, the usage, the terminator."""
    chunk = {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "model": model}
    choices: list[dict[str, Any]] = [{"index": 0, "delta": {"content": text}, "finish_reason": None} for text in texts]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    events: list[dict[str, Any]] = [{**chunk, "choices": [choice]} for choice in choices]
    events.append({**chunk, "choices": [], "usage": _usage(input_tokens, output_tokens)})
    return StreamedAnswer([*(b"data: %s\n\n" % json.dumps(event).encode() for event in events), b"data: [DONE]\n\n"])


def _usage(input_tokens: int, output_tokens: int) -> dict[str, int]:
    total_tokens = input_tokens + output_tokens
    return {"prompt_tokens": input_tokens, "completion_tokens": output_tokens, "total_tokens": total_tokens}

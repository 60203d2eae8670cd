"""What a stream that was closed is charged where it is counted: what came, what said so, and a margin."""

from __future__ import annotations

import msgspec
import pytest

from bursar.call.counted import ON_THE_WAY_TOKENS, counted
from bursar.rules.usage import Usage
from bursar.wire.dialect import Metered
from tests.call.scripted import plan_of

PLAN = plan_of(b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}')


def chunk(text: str = "", arguments: str = "") -> bytes:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    delta = {"content": text} | ({"tool_calls": [call]} if arguments else {})
    return msgspec.json.encode({"id": "s", "model": "m", "choices": [{"index": 0, "delta": delta}]})


@pytest.mark.parametrize(
    ("delivered", "tokens"),
    [
        ([], 0),
        ([chunk("a")] * 100, 100),
        ([chunk("")] * 100, 100),  # reasoning that is not shown comes in pieces, too
        ([chunk("x" * 300)], 100),
        ([chunk("日" * 100)], 100),
        ([chunk(arguments="y" * 150), chunk("x" * 150)], 100),
        ([b"nonsense"] * 100, 100),
    ],
)
def test_what_was_delivered_is_counted_by_its_pieces_or_by_its_text(delivered: list[bytes], tokens: int) -> None:
    usage = counted(PLAN, Metered(complete=False), delivered)
    assert usage.output_tokens == -(-tokens * 125 // 100) + ON_THE_WAY_TOKENS
    assert usage.input_tokens >= PLAN.demand.rate_input_tokens


def test_what_the_stream_said_itself_is_the_least() -> None:
    said = Usage.of(1_000, 5, {"cached_input": 800})
    usage = counted(PLAN, Metered(usage=said, complete=False), [chunk("a")] * 100)
    assert dict(usage.leaves) == {"input": 200, "cached_input": 800, "output": 125 + ON_THE_WAY_TOKENS}
    much = Usage.of(10, 5_000)
    assert counted(PLAN, Metered(usage=much, complete=False), [chunk("a")]) == much

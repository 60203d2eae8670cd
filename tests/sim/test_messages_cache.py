"""Anthropic's prompt cache: what is written, what is read, for how long, by whom, and at which price."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bursar.sim.markedcache import KEPT_MAX, MarkedCache, Piece
from bursar.sim.messages_ask import CacheControl
from tests.sim.client import Caller, calling
from tests.sim.wires import TOOL, message

LONG = "x" * 8_000
MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def text(content: str, marker: Any = None) -> dict[str, Any]:
    block = {"type": "text", "text": content}
    return block | {"cache_control": marker} if marker is not None else block


async def used(caller: Caller, content: Any, **fields: Any) -> tuple[int, int, int, int]:
    """Plain, read, written for five minutes and written for an hour; the bill must be made of them."""
    answer = await message(caller, content, **fields)
    assert answer.status == 200, answer.raw
    usage = answer.json["usage"]
    created = usage["cache_creation"]
    found = (
        usage["input_tokens"],
        usage["cache_read_input_tokens"],
        created["ephemeral_5m_input_tokens"],
        created["ephemeral_1h_input_tokens"],
    )
    assert usage["cache_creation_input_tokens"] == found[2] + found[3]
    entry = (await caller.record())[-1]
    assert entry["usage"]["prompt_tokens"] == sum(found)
    prices = (1000, 100, 1250, 2000)
    out = usage["output_tokens"] * 5000
    assert entry["billed_nano_usd"] == sum(n * p for n, p in zip(found, prices, strict=True)) + out
    return found


async def test_what_is_marked_is_written_once_and_read_after() -> None:
    async with calling() as caller:
        system = [text(LONG, MARK)]
        first = await used(caller, "one", system=system)
        assert (first[1], first[2], first[3]) == (0, 2000, 0)
        second = await used(caller, "two", system=system)
        assert (second[1], second[2]) == (2000, 0)
        assert second[0] == first[0] < 20
        other = await used(caller, "one", system=[text("y" + LONG, MARK)])
        assert (other[1], other[2]) == (0, 2001)
        assert (await used(caller, "one", system=[text(LONG)]))[1:] == (0, 0, 0)


async def test_a_conversation_reads_what_it_wrote_and_writes_what_is_new() -> None:
    async with calling() as caller:
        turns: list[Any] = [{"role": "user", "content": [text(LONG, MARK)]}]
        first = await used(caller, ..., messages=turns)
        assert first[2] == 2003
        turns[0]["content"] = [text(LONG)]
        turns += [{"role": "assistant", "content": "So be it."}, {"role": "user", "content": [text(LONG, MARK)]}]
        second = await used(caller, ..., messages=turns)
        assert second[1] == 2003
        assert second[2] == 2003 + 3 + 3


async def test_an_hour_costs_more_and_lasts_longer() -> None:
    async with calling() as caller:
        system = [text(LONG, HOUR), text(LONG, MARK)]
        assert (await used(caller, "one", system=system))[2:] == (2000, 2000)
        await caller.send("POST", "/sim/clock", {"advance_seconds": 299})
        assert (await used(caller, "one", system=system))[1] == 4000
        await caller.send("POST", "/sim/clock", {"advance_seconds": 299})
        assert (await used(caller, "one", system=system))[1] == 4000  # reading had kept it
        await caller.send("POST", "/sim/clock", {"advance_seconds": 301})
        assert (await used(caller, "one", system=system))[1:] == (2000, 2000, 0)
        await caller.send("POST", "/sim/clock", {"advance_seconds": 3601})
        assert (await used(caller, "one", system=system))[1:] == (0, 2000, 2000)


async def test_keys_models_tools_and_short_prompts_share_nothing() -> None:
    async with calling() as caller:
        system = [text(LONG, MARK)]
        await used(caller, "one", system=system)
        stranger = await message(caller, "one", {"x-api-key": "sk-sim-other"}, system=system)
        assert stranger.json["usage"]["cache_read_input_tokens"] == 0
        sibling = await message(caller, "one", system=system, model="claude-sonnet-5")
        assert sibling.json["usage"]["cache_read_input_tokens"] == 0
        assert (await used(caller, "one", system=system, tools=[TOOL]))[1] == 0
        assert (await used(caller, "one", system=[text("x" * 4_000, MARK)]))[1:] == (0, 0, 0)
        await caller.send("POST", "/sim/reset")
        assert (await used(caller, "one", system=system))[1] == 0


async def test_the_whole_prompt_may_be_marked_at_once() -> None:
    async with calling() as caller:
        first = await used(caller, LONG, cache_control=MARK)
        assert (first[0], first[2]) == (3, 2003)
        assert (await used(caller, LONG, cache_control=MARK))[1] == 2003


async def test_a_request_that_fails_writes_nothing() -> None:
    async with calling() as caller:
        system = [text(LONG, MARK)]
        await message(caller, "one", {"x-sim-fault": "status:529"}, system=system)
        assert (await used(caller, "one", system=system))[1] == 0


async def test_wishes_mark_tokens_where_no_marker_does() -> None:
    async with calling() as caller:
        found = await used(caller, f"[[cached=100]][[cache_write=50]][[cache_write_1h=7]]{LONG}")
        assert found[1:] == (100, 50, 7)


def test_reading_keeps_what_is_read_for_as_long_as_it_was_written() -> None:
    five, hour = CacheControl(type="ephemeral"), CacheControl(type="ephemeral", ttl="1h")
    cache = MarkedCache()
    start, end = Piece(b"start", 2000), Piece(b"end", 1, five)
    cache.read_and_write("ann", [replace(start, marker=five)], 0)
    assert cache.read_and_write("ann", [start, end], 200_000).read_tokens == 2000
    assert cache.read_and_write("ann", [start, replace(end, content=b"other")], 400_000).read_tokens == 2000
    cache.read_and_write("bob", [replace(start, marker=hour)], 0)
    assert cache.read_and_write("bob", [replace(start, marker=five)], 3_000_000).read_tokens == 2000
    assert cache.read_and_write("bob", [replace(start, marker=five)], 6_000_000).read_tokens == 2000


def test_what_is_far_before_a_marker_is_not_found_and_the_oldest_is_forgotten() -> None:
    marker = CacheControl(type="ephemeral")
    cache = MarkedCache()
    pieces = [Piece(b"start", 2000, marker)] + [Piece(b"%d" % number, 1) for number in range(25)]
    cache.read_and_write("ann", pieces[:1], 0)
    assert cache.read_and_write("ann", [*pieces[:15], Piece(b"end", 1, marker)], 0).read_tokens == 2000
    far = [Piece(b"start", 2000), *pieces[1:], Piece(b"end", 1, marker)]
    assert cache.read_and_write("ann", far, 0).read_tokens == 0
    for number in range(KEPT_MAX):
        cache.read_and_write("bob", [Piece(b"%d" % number, 2000, marker)], 0)
    assert cache.read_and_write("ann", pieces[:1], 0).read_tokens == 0

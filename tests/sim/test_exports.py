"""The exports of the bill: from the record alone, and adding up to it to the nano-dollar."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from bursar.sim.activity import COLUMNS
from bursar.sim.config import SimConfig
from bursar.sim.wallclock import parse_moment
from tests.sim.client import Caller, calling

DAY = 86_400
FIRST = parse_moment("2026-11-20T23:59:00Z")
FIRST_DAY = parse_moment("2026-11-20") // 1000


async def two_days(caller: Caller) -> list[Any]:
    """Four OpenAI requests of two models over two days, one of them refused, and an embedding."""
    await caller.chat("openai", "[[tokens=7]][[cached=3]]")
    await caller.chat("openai", "[[tokens=5]]", model="gpt-4o", service_tier="flex")
    await caller.chat("openai", model="none")
    await caller.send("POST", "/sim/clock", {"advance_seconds": 2 * DAY})
    await caller.chat("openai", "[[tokens=9]][[searches=2]]", web_search_options={})
    await caller.send("POST", "/openai/v1/embeddings", {"model": "text-embedding-3-small", "input": "hello"})
    return await caller.record()


def nano(value: float | str) -> int:
    return round(float(value) * 10**9)


async def export(caller: Caller, path: str) -> Any:
    answer = await caller.send("GET", f"/sim/exports/{path}")
    assert answer.status == 200
    return answer


def sheet(raw: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(raw.decode())))


async def test_openai_costs_add_up_to_the_bill_by_day_and_by_line_item() -> None:
    async with calling(SimConfig(now_ms=FIRST)) as caller:
        record = await two_days(caller)
        page = (await export(caller, "openai-costs")).json
        items = (await export(caller, "openai-costs?group_by=line_item")).json
        later = (await export(caller, f"openai-costs?start_time={FIRST_DAY + DAY}")).json
        first = (await export(caller, f"openai-costs?end_time={FIRST_DAY + DAY}")).json
        bad = await caller.send("GET", "/sim/exports/openai-costs?start_time=today")
    assert bad.status == 400
    assert [bucket["start_time"] for bucket in page["data"]] == [FIRST_DAY, FIRST_DAY + DAY, FIRST_DAY + 2 * DAY]
    assert page["data"][1]["results"] == []
    by_day = [sum(entry["billed_nano_usd"] for entry in record if entry["at_ms"] // 1000 < FIRST_DAY + DAY)]
    by_day += [sum(entry["billed_nano_usd"] for entry in record) - by_day[0]]
    for shown in (page, items):
        days = [sum(nano(row["amount"]["value"]) for row in bucket["results"]) for bucket in shown["data"]]
        assert [days[0], days[2]] == by_day
    assert [len(later["data"]), len(first["data"])] == [1, 1]
    names = [row["line_item"] for bucket in items["data"] for row in bucket["results"]]
    assert "gpt-4o-mini-2024-07-18, cached input" in names
    assert "gpt-4o-mini-2024-07-18, web searches" in names
    assert "text-embedding-3-small, input" in names


async def test_openai_usage_is_grouped_by_day_model_and_tier() -> None:
    async with calling(SimConfig(now_ms=FIRST)) as caller:
        record = await two_days(caller)
        page = (await export(caller, "openai-usage")).json
    first, _, last = (bucket["results"] for bucket in page["data"])
    assert [(row["model"], row["service_tier"]) for row in first] == [
        ("gpt-4o-2024-08-06", "flex"),
        ("gpt-4o-mini-2024-07-18", "default"),
    ]
    mini = first[1]
    assert mini["input_tokens"] == record[0]["usage"]["prompt_tokens"]
    assert (mini["input_cached_tokens"], mini["output_tokens"], mini["num_model_requests"]) == (3, 7, 1)
    assert [row["output_tokens"] for row in last] == [9]


async def test_openrouters_activity_has_a_line_a_generation_and_a_row_a_day() -> None:
    app = {"X-Title": "My app, ours"}
    async with calling(SimConfig(now_ms=FIRST)) as caller:
        await caller.chat("openrouter", "[[tokens=4]][[cached=2]]", app, user="u-1")
        await caller.chat("openrouter", "[[tokens=4]][[searches=3]]", plugins=[{"id": "web"}], stream=True)
        await caller.chat("openrouter", model="anthropic/claude-sonnet-4.5:nitro")
        await caller.chat("openrouter", "[[tokens=6]]", {"Authorization": "Bearer sk-sim-byok-1"})
        await caller.chat("openrouter", model="none")
        await caller.chat("openai")
        record = [entry for entry in await caller.record() if entry["provider"] == "openrouter"]
        answer = await export(caller, "openrouter-activity")
        rows = (await export(caller, "openrouter-activity?format=json")).json["data"]
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.raw.decode().split("\n")[0] == ",".join(COLUMNS)
    lines = sheet(answer.raw)
    assert [line["generation_id"] for line in lines] == [entry["id"] for entry in record[:4]]
    assert [nano(line["cost_total"]) for line in lines] == [entry["billed_nano_usd"] for entry in record[:4]]
    assert lines[0]["created_at"].startswith("2026-11-20 23:59:0")
    assert (lines[0]["user"], lines[0]["app_name"], lines[0]["tokens_cached"]) == ("u-1", "My app, ours", "2")
    assert (lines[1]["streamed"], nano(lines[1]["cost_web_search"])) == ("true", 30_000_000)
    assert lines[2]["model_permaslug"] == "anthropic/claude-4.5-sonnet-20250929"
    assert [line["variant"] for line in lines] == ["standard", "standard", "nitro", "standard"]
    assert (lines[3]["cost_total"], nano(lines[3]["byok_usage_inference"])) == ("0", record[3]["upstream_nano_usd"])
    assert [row["model"] for row in rows] == ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4.5"]
    assert (rows[0]["requests"], rows[0]["byok_requests"], rows[0]["date"]) == (3, 1, "2026-11-20")
    assert sum(nano(row["usage"]) for row in rows) == sum(entry["billed_nano_usd"] for entry in record)


async def test_the_plain_sheet_has_every_billed_request_even_of_an_earlier_run(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    async with calling(SimConfig(now_ms=FIRST, record=path)) as caller:
        await two_days(caller)
    async with calling(SimConfig(record=path, records_max=1)) as caller:
        await caller.chat("groq", headers={"X-Client-Request-Id": "mine"})
        lines = sheet((await export(caller, "csv")).raw)
        groq = sheet((await export(caller, "csv?provider=groq")).raw)
        bill = await caller.bill()
    assert [line["model"] for line in lines] == [
        "gpt-4o-mini",
        "gpt-4o",
        "gpt-4o-mini",
        "text-embedding-3-small",
        "llama-3.1-8b-instant",
    ]
    assert sum(nano(line["usd"]) for line in lines) == bill["billed_nano_usd"]
    assert lines[1]["tier"] == "flex"
    assert [(line["client_request_id"], line["served_as"]) for line in groq] == [("mine", "llama-3.1-8b-instant")]


@pytest.mark.parametrize("name", ["openai-costs", "openai-usage", "openrouter-activity", "csv"])
async def test_an_empty_record_exports_nothing(name: str) -> None:
    async with calling() as caller:
        answer = await export(caller, name)
    if answer.headers["content-type"].startswith("text/csv"):
        assert sheet(answer.raw) == []
    else:
        assert answer.json["data"] == []

"""The record: appended before the answer ends, the same on disk and in memory, and read again by the next process."""

from __future__ import annotations

from pathlib import Path

import pytest

from bursar.sim.config import SimConfig
from bursar.sim.record import Entry, Record, read_record
from tests.sim.client import calling


def entry(number: int, client: str | None = None) -> Entry:
    return Entry(
        id=f"id-{number}",
        client_request_id=client,
        provider="openai",
        kind="chat",
        model="m",
        model_asked="m",
        stream=False,
        status=200,
        usage={},
        billed_nano_usd=number,
        aborted=False,
        at_ms=0,
    )


def test_memory_is_bounded_and_totals_are_not(tmp_path: Path) -> None:
    record = Record(None, records_max=3)
    for number in range(10):
        record.append(entry(number, "same"))
    assert [kept.id for kept in record.entries()] == ["id-7", "id-8", "id-9"]
    assert [kept.id for kept in record.find("same")] == ["id-7", "id-8", "id-9"]
    assert record.find("id-0") == []
    assert record.bill()["billed_nano_usd"] == 45
    assert record.bill()["count"] == 10
    for number in range(3):
        record.append(entry(number))
    assert record.find("same") == []


def test_the_file_survives_the_process_and_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    first = Record(path, 10)
    first.append(entry(5))
    first.close()
    with path.open("ab") as file:
        file.write(b'{"id":"id-6","client_req')
    second = Record(path, 10)
    second.append(entry(7))
    second.close()
    assert [line.billed_nano_usd for line in read_record(path)] == [5, 7]
    assert Record(path, 10).bill()["billed_nano_usd"] == 12


def test_a_file_that_is_not_a_record_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    path.write_text('{"id": 1}\n')
    with pytest.raises(ValueError, match="line 1"):
        Record(path, 10)


async def test_the_line_is_there_when_the_answer_is(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    async with calling(SimConfig(record=path, records_max=2)) as caller:
        for number in range(1, 6):
            await caller.chat("openai", stream=number % 2 == 0, headers={"X-Client-Request-Id": f"c-{number}"})
            assert len(read_record(path)) == number
        assert len(await caller.record()) == 5
        oldest = await caller.send("GET", "/sim/requests/c-1")
        assert [found["client_request_id"] for found in oldest.json] == ["c-1"]
        assert (await caller.send("GET", "/sim/requests/nobody")).json == []
        bill = await caller.bill()
    assert bill["billed_nano_usd"] == sum(line.billed_nano_usd for line in read_record(path)) > 0
    async with calling(SimConfig(record=path)) as caller:
        assert await caller.bill() == bill
        await caller.send("POST", "/sim/reset")
        assert (await caller.bill())["count"] == 0
        await caller.chat("openai")
        assert len(read_record(path)) == 1

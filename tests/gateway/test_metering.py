"""When a worker leaves its counts for the others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bursar.gateway.metering import Metering
from bursar.gateway.run_folder import VARIABLE, RunFolder
from bursar.telemetry.families import Snapshot
from tests.client.simulator import Sim
from tests.gateway.running import serving


def counted(snapshots: list[Snapshot]) -> int:
    """The calls that others have left."""
    found = [family for one in snapshots for family in one.families if family.name == "bursar_calls_total"]
    return sum(value for family in found for _, value in family.samples if isinstance(value, int))


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a supervisor would have made."""
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


def test_what_is_shown_was_left_for_the_others_before(
    tmp_path: Path, shared: Path, sim: Sim, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(self: Metering) -> None:
        """No worker writes by itself."""

    monkeypatch.setattr(Metering, "_write_on", never)
    with serving(tmp_path, sim) as running:
        running.chat()
        assert counted(RunFolder(shared).others()) == 0
        assert "bursar_calls_total" in running.ask("GET", "/metrics").body.decode()
        assert counted(RunFolder(shared).others()) == 1
        running.chat()
        assert counted(RunFolder(shared).others()) == 1
    (last,) = [one for one in RunFolder(shared).others() if one.worker]
    assert (counted([last]), last.ended) == (2, True), "at its end it leaves the last counts"


def test_a_worker_leaves_its_counts_without_being_asked(tmp_path: Path, shared: Path, sim: Sim) -> None:
    with serving(tmp_path, sim) as running:
        running.chat()
        patience = asyncio.Event()

        async def left() -> None:
            async with asyncio.timeout(20):
                while not counted(RunFolder(shared).others()):  # noqa: ASYNC110 - what is waited for has no event
                    await asyncio.sleep(0.02)
                patience.set()

        asyncio.run(left())
        assert patience.is_set()

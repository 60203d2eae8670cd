"""Reading the configuration again while the gateway stops: what is opened is closed, and nothing is opened after."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from bursar.errors import ConfigError, StoreUnavailableError
from bursar.gateway.app import Gateway
from bursar.gateway.opening import Opened, Sources
from bursar.gateway.state import State
from tests.client.simulator import Sim
from tests.gateway.running import SECRET, write_config


async def test_a_stop_waits_for_what_a_reload_opens_and_closes_it(tmp_path: Path, sim: Sim) -> None:
    sources = Sources(write_config(tmp_path, sim), environ={"BURSAR_SECRET": SECRET})
    begun, go_on, opened = threading.Event(), threading.Event(), []

    def open_slowly() -> Opened:
        begun.set()
        assert go_on.wait(30)
        opened.append(sources.open())
        return opened[-1]

    gateway = Gateway(State(await asyncio.to_thread(sources.open)), open_slowly)
    reload = asyncio.create_task(gateway.reload())
    await asyncio.to_thread(begun.wait, 30)
    closing = asyncio.create_task(gateway.close())
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(reload, closing)
    assert gateway.state.engine is opened[0].engine
    owners = list((tmp_path / "books.db-owners").iterdir())
    assert owners == [], "an engine was left open"
    with pytest.raises(StoreUnavailableError, match="stopping"):
        await gateway.reload()
    assert len(opened) == 1


@pytest.mark.parametrize("books", ["books.db", "memory:"])
async def test_a_reload_never_leaves_the_books(tmp_path: Path, sim: Sim, books: str) -> None:
    sources = Sources(write_config(tmp_path, sim, {"books": books}), environ={"BURSAR_SECRET": SECRET})
    gateway = Gateway(State(await asyncio.to_thread(sources.open)), sources.open)
    engine = gateway.state.engine
    write_config(tmp_path, sim, {"books": books if books == "memory:" else "others.db"})
    with pytest.raises(ConfigError, match="restart"):
        await gateway.reload()
    assert gateway.state.engine is engine
    await gateway.close()
    assert _owned(tmp_path) == [], "an engine was left open"


async def test_a_file_that_cannot_be_read_changes_nothing_and_is_named(tmp_path: Path, sim: Sim) -> None:
    sources = Sources(write_config(tmp_path, sim), environ={})
    gateway = Gateway(State(await asyncio.to_thread(sources.open)), sources.open)
    engine = gateway.state.engine
    secret = tmp_path / "books.db.secret"
    secret.unlink()
    secret.mkdir()
    with pytest.raises(ConfigError, match=r"books\.db\.secret: Is a directory"):
        await gateway.reload()
    assert gateway.state.engine is engine
    await gateway.close()
    assert len(_owned(tmp_path)) == 0


async def test_a_reload_never_takes_another_secret_under_which_no_key_would_count(tmp_path: Path, sim: Sim) -> None:
    sources = Sources(write_config(tmp_path, sim), environ={})
    gateway = Gateway(State(await asyncio.to_thread(sources.open)), sources.open)
    secret = gateway.state.doorkeeper.secret
    (tmp_path / "books.db.secret").unlink()
    with pytest.raises(ConfigError, match="another secret takes a restart"):
        await gateway.reload()
    assert gateway.state.doorkeeper.secret == secret
    await gateway.close()
    assert len(_owned(tmp_path)) == 0


def _owned(folder: Path) -> list[str]:
    """Books in a folder that somebody has open."""
    return [path.name for path in folder.glob("*-owners") if any(path.iterdir())]

"""`bursar serve` as its users run it: started, told to stop, to read its file again, and killed."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from bursar.edges.stores.sqlite import SqliteStore
from tests.client.simulator import Sim
from tests.gateway.process import Served, children, served
from tests.gateway.running import ADMIN_KEY, Answer, asked, write_config

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def chat(at: Served, model: str = "openai/gpt-4o-mini", key: str = ADMIN_KEY, **fields: object) -> Answer:
    body = {"model": model, "messages": [{"role": "user", "content": "Name three rivers."}], "max_tokens": 20, **fields}
    parts = urlsplit(at.url)
    return asked((parts.hostname or "", parts.port or 0), "POST", "/v1/chat/completions", body, key=key)


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    patience = threading.Event()
    for _ in range(1_200):
        if holds():
            return
        patience.wait(0.05)
    raise AssertionError("it never held")


def test_an_empty_folder_is_enough(tmp_path: Path, sim: Sim) -> None:
    environ = {"OPENAI_API_KEY": "sk-sim-test", "OPENAI_BASE_URL": f"{sim.url}/openai/v1", "BURSAR_ADMIN_KEY": ""}
    with served(tmp_path, BURSAR_SECRET="", **environ) as gateway:
        shown = [found[0] for line in gateway.said if (found := re.search(r"sk-bursar-[\w-]{43}", line))]
        assert len(shown) == 1
        assert any("bursar keys create" in line for line in gateway.said)
        assert chat(gateway, "gpt-4o-mini", shown[0]).status == 200
        assert gateway.end() == 0
    with served(tmp_path, BURSAR_SECRET="", **environ) as gateway:
        assert not any("sk-bursar-" in line for line in gateway.said), "it is shown once"
        assert chat(gateway, "gpt-4o-mini", shown[0]).status == 200
    assert {path.name for path in tmp_path.iterdir() if path.suffix == ".secret"} == {"bursar.db.secret"}


def test_a_gateway_without_a_provider_says_what_is_missing(tmp_path: Path) -> None:
    environ = {name: "" for name in os.environ if name.endswith("_API_KEY")}
    with served(tmp_path, **environ) as gateway:
        assert any("no provider has an API key" in line and "OPENAI_API_KEY" in line for line in gateway.said)
        answer = chat(gateway, "gpt-4o-mini")
        assert (answer.status, "no provider is set up yet" in answer.json["error"]["message"]) == (404, True)


@posix
def test_a_stop_finishes_what_is_under_way(tmp_path: Path, sim: Sim) -> None:
    write_config(tmp_path, sim)
    answers, before = [], sim.desk.opened
    with served(tmp_path) as gateway, sim.faults("stall:1.5"):
        calling = threading.Thread(target=lambda: answers.append(chat(gateway)))
        calling.start()
        until(lambda: sim.desk.opened > before)
        assert gateway.end() == 0
        calling.join(30)
    assert answers[0].status == 200
    assert _held(tmp_path) == 0


@posix
def test_a_stop_out_of_patience_settles_what_it_cuts(tmp_path: Path, sim: Sim) -> None:
    write_config(tmp_path, sim, {"gateway": {"stop_seconds": 0}})
    answers, before = [], sim.desk.opened
    with served(tmp_path) as gateway, sim.faults("stall:60"):
        calling = threading.Thread(target=lambda: answers.append(chat(gateway)))
        calling.start()
        until(lambda: sim.desk.opened > before)
        assert gateway.end() == 0
        calling.join(30)
    assert answers[0].status == 503
    assert answers[0].json["error"]["code"] == "stopping"
    assert _held(tmp_path) == 0


@posix
def test_reading_again_cuts_no_stream_and_a_bad_file_changes_nothing(tmp_path: Path, sim: Sim) -> None:
    path = write_config(tmp_path, sim)
    good = yaml.safe_load(path.read_text("utf-8"))
    streams, before = [], sim.desk.opened
    with served(tmp_path) as gateway:
        with sim.faults("stall:1"):
            streaming = threading.Thread(target=lambda: streams.append(chat(gateway, stream=True)))
            streaming.start()
            until(lambda: sim.desk.opened > before)
            path.write_text(yaml.safe_dump(good | {"routes": {"fast": ["openai/gpt-4o-mini"]}}), "utf-8")
            gateway.tell(signal.SIGHUP)
            gateway.wait_said("was read again")
            streaming.join(30)
        assert streams[0].body.endswith(b"data: [DONE]\n\n")
        assert chat(gateway, "fast").status == 200
        path.write_text("budgets: {wrong: {usd: -1}}", "utf-8")
        gateway.tell(signal.SIGHUP)
        gateway.wait_said("the old one stays")
        assert any("budgets.wrong" in line for line in gateway.said)
        assert chat(gateway, "fast").status == 200
        assert gateway.end() == 0


@posix
@pytest.mark.skipif(not Path("/proc").exists(), reason="finds the workers in /proc")
def test_workers_share_one_budget_and_one_that_is_killed_is_replaced(tmp_path: Path, sim: Sim) -> None:
    write_config(tmp_path, sim, {"budgets": {"all": {"usd": "0.0005", "per": "total"}}})
    with served(tmp_path, "--workers", "2") as gateway:
        until(lambda: len(_workers(gateway)) == 2)
        workers = set(_workers(gateway))
        os.kill(min(workers), signal.SIGKILL)
        until(lambda: len(set(_workers(gateway)) - {min(workers)}) == 2)
        statuses = [chat(gateway).status for _ in range(60)]
        assert set(statuses) == {200, 402}
        assert gateway.end() == 0
    assert sim.billed() <= 500_000
    assert _held(tmp_path) == 0


def _workers(gateway: Served) -> list[int]:
    """The worker processes, without what multiprocessing keeps beside them."""
    found = []
    for pid in children(gateway.process.pid):
        command = Path(f"/proc/{pid}/cmdline").read_bytes() if Path(f"/proc/{pid}").exists() else b""
        if b"spawn_main" in command:
            found.append(pid)
    return found


def _held(folder: Path) -> int:
    store = SqliteStore(folder / "books.db")
    try:
        return sum(balance.held for balance in store.balances(2**41))
    finally:
        store.close()


def test_a_port_in_use_is_said_plainly(tmp_path: Path, sim: Sim) -> None:
    write_config(tmp_path, sim)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = _bursar(tmp_path, "serve", "--port", port)
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_books_in_memory_have_one_worker(tmp_path: Path, sim: Sim) -> None:
    write_config(tmp_path, sim)
    ended = _bursar(tmp_path, "serve", "--books", "memory:", "--workers", "2")
    assert ended.returncode == 1
    assert "several workers share their books in a file" in ended.stderr


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path) -> None:
    hidden = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = ['bursar', 'serve']; import bursar.cli as c; c.main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", hidden], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 1
    assert "pip install 'bursar[gateway]'" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_beyond_this_machine_an_admin_key_is_needed(tmp_path: Path, sim: Sim) -> None:
    write_config(tmp_path, sim)
    nobody = {**os.environ, "BURSAR_ADMIN_KEY": ""}
    made = _bursar(tmp_path, "keys", "create", "--name", "first", "--role", "admin", **nobody)
    assert made.returncode == 0, made.stderr
    assert _bursar(tmp_path, "keys", "revoke", "first", **nobody).returncode == 0
    ended = _bursar(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0", **nobody)
    assert ended.returncode == 1
    assert "there is no admin key, and 0.0.0.0 is reachable from other machines" in ended.stderr


def _bursar(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bursar", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environ},
    )

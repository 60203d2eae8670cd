"""A real gateway in a thread of its own: its worker on a socket, the simulator behind it, and an admin key to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from bursar.engine import Engine
from bursar.gateway.opening import Opened, Sources
from bursar.gateway.serving import Worker, listen
from tests.client.simulator import Sim

ADMIN_KEY = "sk-bursar-" + "A" * 43
SECRET = "a secret of the tests, thirty-two bytes or more"


@dataclass(frozen=True)
class Answer:
    """What came back: names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Running:
    """A gateway that answers at `url`. Everything here may be called from any thread."""

    url: str
    worker: Worker
    folder: Path

    @property
    def engine(self) -> Engine:
        return self.worker.gateway.state.engine

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = ADMIN_KEY,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30,
    ) -> Answer:
        """One request on a connection of its own; a body that is not bytes is sent as JSON."""
        return asked(self.address, method, path, body, key=key, headers=headers, timeout=timeout)

    def chat(self, text: str = "Name three rivers.", **fields: Any) -> Answer:
        """A small chat; keyword arguments `key` and `headers` are those of `ask`, the others of the body."""
        own = {name: fields.pop(name) for name in ("key", "headers", "timeout") if name in fields}
        body = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": text}], "max_tokens": 20}
        return self.ask("POST", "/v1/chat/completions", body | fields, **own)


def asked(
    address: tuple[str, int],
    method: str,
    path: str,
    body: Any = None,
    *,
    key: str | None = ADMIN_KEY,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30,
) -> Answer:
    """One request on a connection of its own; a body that is not bytes is sent as JSON."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    sent = {"authorization": f"Bearer {key}"} if key is not None else {}
    if data is not None:
        sent["content-type"] = "application/json"
    connection = http.client.HTTPConnection(*address, timeout=timeout)
    try:
        connection.request(method, path, body=data, headers={**sent, **(headers or {})})
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, told, answer.read())
    finally:
        connection.close()


def write_config(folder: Path, sim: Sim, config: Mapping[str, Any] | None = None) -> Path:
    """A bursar.yaml with every provider of the simulator, and what `config` adds at the top."""
    path = folder / "bursar.yaml"
    path.write_text(yaml.safe_dump({"books": "books.db", **sim.config(), **(config or {})}), "utf-8")
    return path


@contextlib.contextmanager
def serving(folder: Path, sim: Sim, config: Mapping[str, Any] | None = None, **environ: str) -> Iterator[Running]:
    """A gateway until the block ends; stopped as TERM would stop it."""
    sources = Sources(write_config(folder, sim, config), environ={"BURSAR_SECRET": SECRET, **environ})
    opened: Opened = sources.open()
    _admit_admin(opened)
    listening = listen("127.0.0.1", 0)
    host, port = listening.getsockname()
    started, failed = threading.Event(), []

    def run() -> None:
        try:
            worker.run(listening, opened)
        except BaseException as error:  # told in the test's own thread
            failed.append(error)
        finally:
            started.set()

    worker = Worker(sources.open, 10, lambda _: started.set())
    thread = threading.Thread(target=run, name="gateway", daemon=True)
    thread.start()
    assert started.wait(30), "the gateway did not start"
    if failed:
        raise failed[0]
    try:
        yield Running(f"http://{host}:{port}", worker, folder)
    finally:
        worker.loop.call_soon_threadsafe(worker.stop)
        thread.join(30)
        assert not thread.is_alive(), "the gateway did not stop"
    if failed:
        raise failed[0]


def _admit_admin(opened: Opened) -> None:
    from bursar.gateway.keys import ensure_admin

    engine = opened.engine
    ensure_admin(engine.store.keyring, opened.doorkeeper.secret, {"BURSAR_ADMIN_KEY": ADMIN_KEY}, engine.clock)

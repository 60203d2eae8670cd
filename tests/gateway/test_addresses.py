"""No request names an address that the gateway goes to, and none starts a program."""

from __future__ import annotations

import ast
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import bursar
from tests.client.simulator import Sim
from tests.gateway.running import Running

PACKAGE = Path(bursar.__file__).parent
# Where programs are started: a secret that the configuration file names as a command, workers, and the simulator that
# tests and commands run. None of them reads a request or the books.
STARTS_PROGRAMS = {"config/secrets.py", "gateway/supervising.py", "sim/process.py"}
STARTING = {"subprocess", "pty", "pexpect", "multiprocessing"}
STARTING_CALLS = {"system", "popen", "posix_spawn", "posix_spawnp", "fork", "forkpty", "startfile"}


@pytest.fixture
def canary() -> Iterator[tuple[str, list[str]]]:
    """An address on this machine that nobody has a reason to visit, and who came."""
    visitors: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            while True:
                try:
                    connection, where = listening.accept()
                except OSError:
                    return
                visitors.append(str(where))
                connection.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", visitors
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_no_field_and_no_header_leads_the_gateway_anywhere(
    gateway: Running, sim: Sim, canary: tuple[str, list[str]]
) -> None:
    where, visitors = canary
    addresses = [
        f"http://{where}/v1",
        f"http://localhost:{where.split(':')[1]}",
        f"http://2130706433:{where.split(':')[1]}",
    ]
    names = ("api_base", "base_url", "url", "endpoint", "custom_host", "proxy", "webhook", "callback_url", "target")
    for address in addresses:
        for name in names:
            assert gateway.chat(**{name: address}).status in (200, 400)
            headers = {
                f"x-{name.replace('_', '-')}": address,
                "x-portkey-custom-host": address,
                "x-forwarded-host": where,
            }
            assert gateway.chat(headers=headers).status == 200
        image = {"type": "image_url", "image_url": {"url": address}}
        message = {"role": "user", "content": [image, {"type": "text", "text": "What is this?"}]}
        assert gateway.chat(messages=[message]).status in (200, 400)
        assert gateway.chat(model=f"openai/{address}").status in (200, 400, 404)
        assert gateway.chat(model=address).status in (400, 404)
    assert gateway.chat(headers={"host": where}).status == 200
    assert visitors == []
    assert sim.entries(), "the provider of the configuration was asked"


def test_only_these_modules_can_start_a_program() -> None:
    starting = set()
    for path in PACKAGE.rglob("*.py"):
        if {"cli", "testing"} & set(path.relative_to(PACKAGE).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                named = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                named = {(node.module or "").partition(".")[0]}
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
                named = STARTING if node.attr in STARTING_CALLS or node.attr.startswith(("exec", "spawn")) else set()
            else:
                continue
            if named & STARTING:
                starting.add(path.relative_to(PACKAGE).as_posix())
    # The parent's end is heard, and its pid is told of a reload: nothing is started there.
    assert starting - {"gateway/serving.py", "gateway/reloading.py"} == STARTS_PROGRAMS

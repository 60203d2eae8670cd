"""`bursar serve`: the gateway on one machine, with one worker or several.

Decides what is checked before anything listens, what is said once, and which process does what. The gateway itself is
in `bursar.gateway`, and its server is an extra that is named where it is missing.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from bursar.cli.ending import EndedError
from bursar.cli.options import config_option
from bursar.cli.output import note
from bursar.cli.serve_providers import check_not_itself, hint_of

if TYPE_CHECKING:
    from bursar.gateway.opening import Opened, Sources
    from bursar.gateway.serving import Worker

WORKERS_MAX = 64
# Where the workers of one gateway leave what they add up together; removed when it ends.
RUN_DIR = "BURSAR_RUN_DIR"
# Objects that may come before the collector looks for cycles among them. Python's 700 costs a sixth of every request.
YOUNG_OBJECTS = 20_000


class Given(NamedTuple):
    """What a worker process is told."""

    sources: Sources
    stop_seconds: float
    log_format: str


@click.command("serve")
@config_option
@click.option("--books", metavar="PATH", help="The books; default: those that the configuration names.")
@click.option("--host", metavar="ADDRESS", help="Where to listen; default: gateway.host, else 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Default: gateway.port, else 8000; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, WORKERS_MAX), help="Processes; default: gateway.workers, else 1.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
def serve(
    config: Path | None, books: str | None, host: str | None, port: int | None, workers: int | None, log_format: str
) -> None:
    """Serve every program that speaks HTTP: OpenAI's and Anthropic's SDKs, and all else.

    \b
    bursar serve
    export OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=sk-bursar-...
    python program.py

    The first start makes the books and an admin key, which is shown once (or give one in BURSAR_ADMIN_KEY). Stops with
    Ctrl-C or TERM: what is under way is finished first. HUP reads the configuration again.
    """
    _require_extra()
    from bursar.gateway.opening import Sources
    from bursar.gateway.signals import reload_waits

    with reload_waits():
        _serve(Sources(config, books), host, port, workers, log_format)


def _serve(sources: Sources, host: str | None, port: int | None, workers: int | None, log_format: str) -> None:
    settings = sources.load()
    host, port = host or settings.gateway.host, settings.gateway.port if port is None else port
    workers = workers or settings.gateway.workers
    if workers > 1 and settings.books == "memory:":
        raise EndedError("several workers share their books in a file; books in memory are of one process alone")
    log_to_stderr(log_format)
    listening = _listening(host, port)
    where = _shown(listening)
    check_not_itself(settings, host, listening.getsockname()[1])
    hint = hint_of(settings)
    opened = sources.open()
    try:
        _check_keys(opened, sources.environ, host)
    except BaseException:
        opened.engine.close()
        raise
    if hint:
        note(f"bursar: {hint}")
    given = Given(sources, settings.gateway.stop_seconds, log_format)
    if workers == 1:
        _worker(given, lambda worker: _announce(where, 1)).run(listening, opened)
        return
    opened.engine.close()
    from bursar.gateway.run_folder import fold
    from bursar.gateway.supervising import Supervisor

    with tempfile.TemporaryDirectory(prefix="bursar-run-") as folder:
        os.environ[RUN_DIR] = folder
        ready, buried = partial(_announce, where, workers), partial(fold, Path(folder))
        Supervisor(work, given, workers, given.stop_seconds, ready=ready, buried=buried).run(listening)


def work(given: Given, listening: socket.socket) -> None:
    """What a worker process runs."""
    from bursar.gateway.run_folder import clear

    log_to_stderr(given.log_format)
    try:
        _worker(given).run(listening)
    finally:
        supervisor = multiprocessing.parent_process()
        if supervisor is not None and not supervisor.is_alive():
            clear(os.environ)


def _worker(given: Given, ready: Callable[[Worker], None] | None = None) -> Worker:
    from bursar.gateway.serving import Worker

    # What was made up to here lives as long as the process: the collector need never look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)
    return Worker(given.sources.open, given.stop_seconds, ready)


def _require_extra() -> None:
    missing = [name for name in ("uvicorn", "httptools") if find_spec(name) is None]
    if missing:
        raise EndedError(
            f"the gateway needs {' and '.join(missing)}, which come with its extra: pip install 'bursar[gateway]'",
            code="extra_missing",
        )


def _listening(host: str, port: int) -> socket.socket:
    from bursar.gateway.serving import listen

    try:
        return listen(host, port)
    except OSError as error:
        reason = error.strerror or str(error)
        raise EndedError(
            f"cannot listen on {host} port {port}: {reason}; name another with --host and --port", code="cannot_listen"
        ) from None


def _check_keys(opened: Opened, environ: Mapping[str, str], host: str) -> None:
    """Make the first admin key and say it once. Beyond this machine nothing is served that nobody could shut."""
    from bursar.gateway.keys import ensure_admin, has_admin

    store, clock = opened.engine.store, opened.engine.clock
    shown = ensure_admin(store.keyring, opened.doorkeeper.secret, environ, clock)
    if shown is not None:
        note(f"The admin key, shown this once:\n\n    {shown}\n")
        note("It changes everything. For callers: bursar keys create --name NAME --budget-usd 5\n")
    if not _is_local(host) and not has_admin(store.keyring, clock()):
        raise EndedError(
            f"there is no admin key, and {host} is reachable from other machines: give one in BURSAR_ADMIN_KEY, or "
            "make one with bursar keys create --role admin",
            code="no_admin_key",
        )


def _is_local(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _announce(where: str, workers: int) -> None:
    note(f"bursar serves at {where} with {workers} worker{'s' * (workers > 1)}; OPENAI_BASE_URL={where}/v1")


def log_to_stderr(log_format: str) -> None:
    """Log what matters on stderr: warnings of all, and what Bursar says of calls."""
    handler = logging.StreamHandler()
    if log_format == "json":
        from bursar.telemetry.jsonlog import JsonLines

        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("bursar").setLevel(logging.INFO)

"""Several workers on one socket: they are started, replaced when they die, told of signals, and stopped together.

Decides when a worker is started again: at once where it had lived, after a growing pause where it dies young. Opens no
books and moves no byte: a worker that is killed takes nobody with it.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any

from bursar.gateway.signals import heed_reload, reload_waits

# A worker that dies sooner was not killed: something is wrong that will be wrong again.
YOUNG_SECONDS = 5.0
PAUSE_SECONDS_MAX = 30.0
# How much longer than its workers' bound the supervisor waits before it kills them: calls that go on without their
# callers, drains, records that are asked for once more, and alerts all have their seconds at the end.
GRACE_SECONDS = 25.0

_log = logging.getLogger("bursar")


class Supervisor:
    """Keeps so many workers. target: what one runs, given `argument` and the socket; both must be picklable.

    ready: called once signals are heeded, before the first worker is started. buried: told the process id of a worker
    that died, before another takes its place.
    """

    def __init__(
        self,
        target: Callable[[Any, socket.socket], None],
        argument: Any,
        workers: int,
        stop_seconds: float,
        *,
        ready: Callable[[], None] | None = None,
        buried: Callable[[int], None] | None = None,
    ) -> None:
        self._ready = ready
        self._buried = buried
        self._target = target
        self._argument = argument
        self._count = workers
        self._stop_seconds = stop_seconds
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[int, BaseProcess] = {}  # by place
        self._stopping = False
        self._pause_seconds = 0.0

    def run(self, listening: socket.socket) -> None:
        """Supervise until TERM or INT, then wait for the workers to end."""
        with self._signals():
            if self._ready is not None:
                self._ready()
            for place in range(self._count):
                self._start(place, listening)
            heed_reload()
            while not self._stopping:
                connection.wait([worker.sentinel for worker in self._workers.values()], timeout=1.0)
                self._replace(listening)
            listening.close()
            self._finish()

    def _start(self, place: int, listening: socket.socket) -> None:
        worker = self._context.Process(target=self._target, args=(self._argument, listening), name="bursar-worker")
        worker.started_at = time.monotonic()  # type: ignore[attr-defined]
        with reload_waits():
            worker.start()
            self._workers[place] = worker
        if self._stopping and worker.is_alive():
            worker.terminate()  # the others were told before it was one of them

    def _replace(self, listening: socket.socket) -> None:
        for place, worker in list(self._workers.items()):
            if self._stopping or worker.is_alive():
                continue
            lived = time.monotonic() - worker.started_at  # type: ignore[attr-defined]
            young = lived < YOUNG_SECONDS and worker.exitcode != -signal.SIGKILL
            self._pause_seconds = min(self._pause_seconds * 2 or 0.5, PAUSE_SECONDS_MAX) if young else 0.0
            if self._buried is not None and worker.pid is not None:
                self._buried(worker.pid)
            _log.error("worker %s ended with %s; another is started", worker.pid, worker.exitcode)
            self._rest()
            if not self._stopping:
                self._start(place, listening)

    def _rest(self) -> None:
        until = time.monotonic() + self._pause_seconds
        while not self._stopping and time.monotonic() < until:
            time.sleep(0.05)

    def _finish(self) -> None:
        """Wait for the workers; those that take longer than they may are killed: their holds count as spent."""
        deadline = time.monotonic() + self._stop_seconds + GRACE_SECONDS
        for worker in self._workers.values():
            worker.join(max(deadline - time.monotonic(), 0.1))
            if worker.is_alive():
                _log.error("worker %s did not end in its time, and is killed", worker.pid)
                worker.kill()
                worker.join()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Pass on to every worker what this process is told."""
        before = {
            number: signal.signal(number, handler)
            for number, handler in (
                (signal.SIGTERM, self._stop),
                (signal.SIGINT, self._stop),
                (signal.SIGHUP, self._tell),
            )
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True
        self._tell(signal.SIGTERM, frame)

    def _tell(self, number: int, frame: object) -> None:
        for worker in self._workers.values():
            if worker.pid is not None and worker.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, number)

"""`bursar serve` as a process of its own, as a user starts it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.gateway.running import ADMIN_KEY, SECRET

START_SECONDS = 60.0


class Served:
    """A gateway process. What it says on stderr is in `said`."""

    def __init__(self, folder: Path, arguments: tuple[str, ...], environ: dict[str, str]) -> None:
        self.said: list[str] = []
        self.url = ""
        self._announced = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bursar", "serve", "--port", "0", *arguments],
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environ},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_announced(self) -> None:
        assert self._announced.wait(START_SECONDS), self.said

    def wait_said(self, text: str) -> None:
        """Until it has said something."""
        for _ in range(600):
            if any(text in line for line in self.said):
                return
            self._reader.join(0.1)
        raise AssertionError(self.said)

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Stop it as systemd would; its exit code."""
        if self.process.poll() is None:
            self.tell(signal.SIGTERM)
        return self.process.wait(60)

    def close(self) -> None:
        """Read what is left of what it said; workers that outlive it say no more than a moment."""
        self._reader.join(20)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line.rstrip())
            found = re.search(r"serves at (http://\S+) ", line)
            if found is not None:
                self.url = found[1]
                self._announced.set()
        self._announced.set()


@contextlib.contextmanager
def served(folder: Path, *arguments: str, **environ: str) -> Iterator[Served]:
    """A gateway in a folder; killed at the end if it still runs."""
    started = Served(folder, arguments, {"BURSAR_ADMIN_KEY": ADMIN_KEY, "BURSAR_SECRET": SECRET, **environ})
    try:
        started.wait_announced()
        yield started
    finally:
        started.process.kill()
        started.process.wait()
        started.close()


def children(pid: int) -> list[int]:
    """The processes that a process has started, on Linux."""
    found = []
    for one in Path("/proc").iterdir():
        if one.name.isdigit():
            with contextlib.suppress(OSError):
                if int((one / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(one.name))
    return found

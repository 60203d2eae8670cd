"""The folder in which workers on one socket leave what they counted, so that any of them can speak for all.

Decides how a file is written and read while others do the same: whole or not at all. The supervisor makes the folder
and names it in BURSAR_RUN_DIR; a worker that is alone has none. What a worker that died had counted is folded into one
file, so that restarts for weeks leave no trail.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import TypeVar

import msgspec

from bursar.telemetry.families import Family, Snapshot, added_up

VARIABLE = "BURSAR_RUN_DIR"
# Of workers whose counts were folded, so many are remembered: their files are gone a moment later.
FOLDED_MAX = 1_000
_ENDED = "ended.json"
_SUFFIX = ".worker.json"
_T = TypeVar("_T")


class Ended(msgspec.Struct):
    """What workers that are gone had counted, and who they were."""

    families: list[Family] = []
    workers: list[str] = []


class RunFolder:
    """The folder as one worker uses it. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.worker = f"{os.getpid()}-{token_hex(4)}"
        self._lock = threading.Lock()
        self._written = -1

    def write(self, snapshot: Snapshot) -> None:
        """Leave what this worker has counted, unless it left a later snapshot. A folder that is gone is no matter."""
        with self._lock:
            if snapshot.number > self._written:
                self._written = snapshot.number
                _replace(self.folder / f"{self.worker}{_SUFFIX}", msgspec.json.encode(snapshot))

    def others(self) -> list[Snapshot]:
        """What all other workers have left, dead ones included."""
        # The folded ones are read last: whoever is folded meanwhile is then found there, and once.
        snapshots = [one for path in _files(self.folder) if (one := _read(path, Snapshot)) is not None]
        ended = _read(self.folder / _ENDED, Ended) or Ended()
        gone = Snapshot("", 0, ended.families, ended=True)
        return [gone, *(one for one in snapshots if one.worker not in ended.workers and one.worker != self.worker)]


def run_folder(environ: Mapping[str, str]) -> RunFolder | None:
    """The folder that the environment names, None for a worker that is alone."""
    named = environ.get(VARIABLE)
    return RunFolder(Path(named)) if named else None


def clear(environ: Mapping[str, str]) -> None:
    """Remove the folder that the environment names, in place of a supervisor that was killed."""
    named = environ.get(VARIABLE)
    if named:
        shutil.rmtree(named, ignore_errors=True)


def fold(folder: Path, pid: int) -> None:
    """Add what the workers of a process that has died had counted to what the dead have. For the supervisor alone."""
    before = _read(folder / _ENDED, Ended) or Ended()
    paths = [path for path in _files(folder) if path.name.startswith(f"{pid}-")]
    died = [one for path in paths if (one := _read(path, Snapshot)) is not None and one.worker not in before.workers]
    if died:
        gone = [Snapshot("", 0, before.families, ended=True)]
        gone += [Snapshot(one.worker, one.at_ms, one.families, ended=True) for one in died]
        workers = [*before.workers, *(one.worker for one in died)][-FOLDED_MAX:]
        if not _replace(folder / _ENDED, msgspec.json.encode(Ended(added_up(gone, 0, silent_ms=0), workers))):
            return
    for path in paths:
        path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(_SUFFIX))
    except OSError:
        return []


def _read(path: Path, kind: type[_T]) -> _T | None:
    """A file, if it is there and is one of ours."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None


def _replace(path: Path, data: bytes) -> bool:
    """Write a file whole, or leave the one that is there."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        logging.getLogger("bursar").warning("figures of this worker are not shared: %s", error.strerror)
        return False
    return True

"""Locks between processes: whose turn it is to commit, and who is alive.

Turns: SQLite's own busy handler lets whoever polls luckily go first and starves the rest. Here a process waits at a
gate: one process at a time stands in it, and it is the next to commit, so the one that has just committed cannot go
again before those that wait. The gate is polled rather than slept on, so that a wait is bounded.

Life: a process holds a lock on a file of its own as long as it lives; the kernel lets go of it with the process,
however that dies. A lock belongs to the open file, which a fork shares: the child closes its copy, and never unlocks.

Where files cannot be locked, SQLite's lock orders the turns and leases alone say who is alive.
"""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from pathlib import Path
from typing import Any, Protocol

from bursar.errors import StoreUnavailableError

fcntl: Any
try:
    import fcntl
except ImportError:
    fcntl = None

# The first in the queue looks often, those behind it less so: it is nearly always a commit of about 1 ms it waits for.
NEXT_PAUSE_SECONDS = 0.0001
QUEUE_PAUSE_SECONDS = 0.001


class Locking(Protocol):
    """How the processes on one database keep out of each other's way. `locks`: whether owners hold locks at all."""

    locks: bool

    def take_turn(self, patience_ms: int) -> None:
        """Wait until it is this process's turn to commit. Raises StoreUnavailableError after `patience_ms`."""

    def end_turn(self) -> None:
        """Let the next one commit."""

    def live(self, owner_id: str) -> None:
        """Show that this owner is alive until it closes or dies. Repeated calls mend a file that was removed."""

    def alive(self, owner_id: str) -> bool | None:
        """Whether an owner is alive; None where locks cannot tell."""

    def owners(self) -> list[str]:
        """Those who ever showed that they were alive, and were not buried."""

    def bury(self, owner_id: str) -> None:
        """Remove what a dead owner has left."""

    def close(self) -> None:
        """Let go of everything."""


class LeaseLocking:
    """No locks but SQLite's: for systems without flock."""

    locks = False

    def take_turn(self, patience_ms: int) -> None:
        """Nothing: BEGIN IMMEDIATE waits."""

    def end_turn(self) -> None:
        """Nothing."""

    def live(self, owner_id: str) -> None:
        """Nothing: the lease tells."""

    def alive(self, owner_id: str) -> bool | None:
        """Not known."""
        return None

    def owners(self) -> list[str]:
        """None: nobody leaves a trace."""
        return []

    def bury(self, owner_id: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class FileLocking:
    """flock on files beside the database: `<db>-turn`, `<db>-gate` and one an owner in `<db>-owners/`."""

    locks = True

    def __init__(self, database: Path) -> None:
        self._turn_path = Path(f"{database}-turn")
        self._gate_path = Path(f"{database}-gate")
        self._owners = Path(f"{database}-owners")
        self._turn = -1
        self._gate = -1
        self._life = -1
        _close_in_children(self)

    def take_turn(self, patience_ms: int) -> None:
        """Pass the gate, then wait for the turn."""
        if self._turn < 0:
            self._turn = _open(self._turn_path)
            self._gate = _open(self._gate_path)
        until = time.monotonic() + patience_ms / 1000
        self._wait(self._gate, QUEUE_PAUSE_SECONDS, until)
        try:
            self._wait(self._turn, NEXT_PAUSE_SECONDS, until)
        finally:
            fcntl.flock(self._gate, fcntl.LOCK_UN)

    def end_turn(self) -> None:
        """Unlock the turn."""
        fcntl.flock(self._turn, fcntl.LOCK_UN)

    def live(self, owner_id: str) -> None:
        """Hold the lock on the owner's file; a file that was removed meanwhile is made again."""
        path = self._owners / owner_id
        if self._life >= 0:
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(self._life).st_ino:
                    return
            os.close(self._life)
            self._life = -1
        self._owners.mkdir(mode=0o700, exist_ok=True)
        self._life = _open(path)
        # Its name is unique, so nobody but a prober, for an instant and shared, ever has it.
        fcntl.flock(self._life, fcntl.LOCK_EX)

    def alive(self, owner_id: str) -> bool | None:
        """Probe the owner's lock, shared, so that two who probe do not take each other for the owner."""
        try:
            probe = os.open(self._owners / owner_id, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(probe)
        return False

    def owners(self) -> list[str]:
        """By their files."""
        try:
            return [path.name for path in self._owners.iterdir()]
        except FileNotFoundError:
            return []

    def bury(self, owner_id: str) -> None:
        """Remove the owner's file."""
        (self._owners / owner_id).unlink(missing_ok=True)

    def close(self) -> None:
        """Close every file, which unlocks it."""
        for name in ("_turn", "_gate", "_life"):
            descriptor = getattr(self, name)
            if descriptor >= 0:
                setattr(self, name, -1)
                os.close(descriptor)

    @staticmethod
    def _wait(descriptor: int, pause_seconds: float, until: float) -> None:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise StoreUnavailableError(
                        "another process has kept the books locked for too long; if it is stopped, resume or end it"
                    ) from None
            time.sleep(pause_seconds)


def locking_for(database: Path) -> Locking:
    """The strongest locking that this system has."""
    return LeaseLocking() if fcntl is None else FileLocking(database)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _close_in_children(locking: FileLocking) -> None:
    remembered = weakref.ref(locking)

    def close_copy() -> None:
        copy = remembered()
        if copy is not None:
            # Closing, not unlocking: the lock is the parent's as long as its own descriptor is open.
            copy.close()

    os.register_at_fork(after_in_child=close_copy)

"""HUP asks for the configuration to be read again, and ends a process that does not heed it yet.

So it is held back from the start of a process, and of those that it starts in turn, until there is somebody to heed it:
then it arrives. A worker that takes another's place is thus told, too, of a file that changed while it started.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

# Not on Windows.
_HELD_BACK = {signal.SIGHUP} if hasattr(signal, "SIGHUP") and hasattr(signal, "pthread_sigmask") else set()


@contextlib.contextmanager
def reload_waits() -> Iterator[None]:
    """Hold it back meanwhile, in this thread and in processes that are started meanwhile."""
    if not _HELD_BACK:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def heed_reload() -> None:
    """Let it in: from now on somebody heeds it."""
    if _HELD_BACK:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)

"""Reading the configuration again, in every worker of this gateway.

The worker that is asked says whether the file can be used. The others are told through their supervisor, as HUP tells
them; each says in its log what came of it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar.gateway.app import Gateway


async def reload_all(gateway: Gateway) -> None:
    """Raises ConfigError or StoreUnavailableError for what cannot be used: then nothing has changed, anywhere."""
    await gateway.reload()
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        os.kill(parent.pid, signal.SIGHUP)

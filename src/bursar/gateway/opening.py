"""Opening what a gateway works with: the settings, an engine on the books, and who may come in.

Decides where the secret and the keys are looked for. Blocking: a worker does it in a thread when it reloads.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from bursar.config import Settings, load
from bursar.engine import Engine, open_engine
from bursar.gateway.auth import Doorkeeper
from bursar.gateway.secret import secret_of


class Opened(NamedTuple):
    """An engine and its doorkeeper, both of one configuration."""

    engine: Engine
    doorkeeper: Doorkeeper


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a gateway's configuration comes from, so that it can be read again, and by another process.

    config: the file's path; None for what `load` looks for. books: instead of the file's.
    """

    config: Path | None = None
    books: str | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    def load(self) -> Settings:
        """Read the configuration. Raises ConfigError."""
        return load(self.config, books=self.books, environ=self.environ)

    def open(self) -> Opened:
        """Read the configuration and open everything. Raises ConfigError and StoreUnavailableError."""
        settings = self.load()
        engine = open_engine(settings)
        try:
            engine.warm()
            # Behind a gateway somebody watches: budgets alert in its log even without a webhook.
            engine.alarms.default_to()
            secret = secret_of(settings.books, self.environ)
            return Opened(engine, Doorkeeper(engine.store.keyring, secret, engine.clock))
        except BaseException:
            engine.close()
            raise

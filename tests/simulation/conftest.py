"""What the worlds of this folder have in common."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def silence() -> Iterator[None]:
    """Nobody reads the log of a hundred worlds, and writing it takes longer than they do."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)

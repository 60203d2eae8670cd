"""What a stream is made of, whatever its form: frames before, between and after the tokens.

`Sending` plays a script: it waits, counts and fails between the steps, and knows no form. Never sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bursar.sim.failures import Failure
from bursar.sim.faults import Fault
from bursar.sim.forms import Json
from bursar.sim.usage import Usage


@dataclass(frozen=True, slots=True)
class Step:
    """One content chunk, the tokens it stands for, and what must come before it, such as the start of its block."""

    body: Json
    tokens: int
    before: Sequence[Json] = field(default=())


class Script(Protocol):
    """One answer as a stream."""

    def opening(self) -> list[Json]:
        """What comes before any content."""

    def steps(self) -> list[Step]:
        """The content, chunk by chunk. A fault's `after_chunks` counts these."""

    def closing(self, fault: Fault | None) -> list[bytes]:
        """Frames after the content, with the usage as the fault shows it; the last one ends the stream."""

    def frame(self, body: Json) -> bytes:
        """A body as a server-sent event."""

    def padding(self, body_bytes: int) -> Json:
        """A content chunk that is far too large."""

    def failure(self, failure: Failure, usage: Usage | None) -> bytes:
        """Frames that end the stream with an error; `usage` is what is billed for it, if anything is."""

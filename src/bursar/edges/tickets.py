"""What passes through the teller: an operation and who waits for its outcome; and the place of a call that waits."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from bursar.call.books import Operation, Reserve

if TYPE_CHECKING:
    from bursar.edges.queues import Queue


class Ticket(Struct, eq=False):
    """One operation and the caller who waits for its outcome. Delivered once, or abandoned.

    until_ms: by the teller's timer, how long a denied reserve may be parked; begun_ms: when its call began, by which it
    stands among those who wait. waiter: its place there.
    """

    operation: Operation
    until_ms: int = 0
    begun_ms: int = 0
    loop: asyncio.AbstractEventLoop | None = None
    future: asyncio.Future[Any] | None = None
    lock: Any = None
    outcome: Any = None
    delivered: bool = False
    abandoned: bool = False
    since_ms: int = 0
    waiter: Waiter | None = None

    @property
    def reserve(self) -> Reserve:
        """The operation, which is one."""
        assert isinstance(self.operation, Reserve)
        return self.operation


class Waiter(Struct, eq=False):
    """A call that waits, standing in a fair line.

    arrival: unique, and later than that of every call that began before. size: the least that it needs of what it waits
    for.
    """

    ticket: Ticket
    queue: Queue
    arrival: int
    tenant: str
    weight: int
    size: int
    since_ms: int

"""Where denied calls wait: one queue per binding allowance and subject, first come first served.

Only the heads of the queues are tried again, as many as releases could have made room for; whoever is granted, or
refused for good, makes way for the next. Bounded in all. It decides nothing about money: the store does, each time a
head is tried.
"""

from __future__ import annotations

import heapq
from bisect import insort
from typing import TYPE_CHECKING

from bursar.rules.allowances import Denial

if TYPE_CHECKING:
    from bursar.edges.teller import Ticket

# How often a head looks again when nothing was released here: another process may have released.
LOOK_MS = 50
# Deadlines of calls that were served already are kept until they pass, or until there are so many more than waiters.
DEADLINES_SPARE = 256
# The instant of a timer that is not set.
NEVER_MS = 2**53

Key = tuple[str, str]


class WaitingRoom:
    """Parked tickets. Used by the teller's thread alone."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queues: dict[Key, list[Ticket]] = {}
        self._due_ms: dict[Key, int] = {}
        self._deadlines: list[tuple[int, int, Ticket]] = []
        self._arrivals = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def park(self, ticket: Ticket, denial: Denial, now_ms: int) -> bool:
        """Queue a denied ticket at its place in the order of arrival. False when the room is full."""
        if self._count >= self._capacity:
            self._forget()
            if self._count >= self._capacity:
                return False
        if not ticket.arrival:
            self._arrivals += 1
            ticket.arrival = self._arrivals
            if len(self._deadlines) > 2 * self._count + DEADLINES_SPARE:
                waiting = [entry for entry in self._deadlines if not (entry[2].delivered or entry[2].abandoned)]
                heapq.heapify(waiting)
                self._deadlines = waiting
            heapq.heappush(self._deadlines, (ticket.until_ms, ticket.arrival, ticket))
        key = ticket.parked_at = (denial.allowance.name, denial.subject)
        queue = self._queues.setdefault(key, [])
        insort(queue, ticket, key=lambda parked: parked.arrival)
        if queue[0] is ticket:
            wait_ms = denial.wait_ms if denial.comeback == "later" else LOOK_MS
            self._due_ms[key] = now_ms + max(wait_ms, 1)
        self._count += 1
        return True

    def _forget(self) -> None:
        """Make room: let go of those whose callers have gone."""
        for key in list(self._queues):
            queue = self._queues[key]
            self._queues[key] = [ticket for ticket in queue if not ticket.abandoned]
            self._count -= len(queue) - len(self._queues[key])
            self._tidy(key, self._due_ms[key])

    def made_way(self, ticket: Ticket, now_ms: int) -> None:
        """A parked ticket got what it waited for, or never will: the next of its queue may try at once."""
        if ticket.parked_at in self._queues:
            self._due_ms[ticket.parked_at] = now_ms

    def due(self, now_ms: int, *, releases: int) -> list[Ticket]:
        """The heads to try again now: of each queue as many as there were releases, or one when its timer is due."""
        returning: list[Ticket] = []
        for key in list(self._queues):
            count = max(releases, 1 if self._due_ms[key] <= now_ms else 0)
            taken, self._queues[key] = self._queues[key][:count], self._queues[key][count:]
            self._count -= len(taken)
            self._tidy(key, now_ms + LOOK_MS if taken else self._due_ms[key])
            returning += [ticket for ticket in taken if not ticket.abandoned]
        return returning

    def leave(self, now_ms: int) -> list[Ticket]:
        """Those whose deadline has passed."""
        gone: list[Ticket] = []
        while self._deadlines and self._deadlines[0][0] <= now_ms:
            ticket = heapq.heappop(self._deadlines)[2]
            queue = self._queues.get(ticket.parked_at, [])
            if not ticket.delivered and ticket in queue:
                queue.remove(ticket)
                self._count -= 1
                self._tidy(ticket.parked_at, self._due_ms[ticket.parked_at])
                gone.append(ticket)
        return gone

    def empty(self) -> list[Ticket]:
        """Everybody, in the order of arrival; the room is empty afterwards."""
        gone = sorted((ticket for queue in self._queues.values() for ticket in queue), key=lambda one: one.arrival)
        self._queues, self._due_ms, self._deadlines, self._count = {}, {}, [], 0
        return gone

    def next_ms(self) -> int:
        """When the next head is due or the next deadline passes."""
        deadline_ms = self._deadlines[0][0] if self._deadlines else NEVER_MS
        return min([deadline_ms, *self._due_ms.values()])

    def _tidy(self, key: Key, due_ms: int) -> None:
        if self._queues[key]:
            self._due_ms[key] = due_ms
        else:
            del self._queues[key], self._due_ms[key]

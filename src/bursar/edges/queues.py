"""One queue: those who wait for one allowance and subject, in fair order, and when the first of them is due.

It decides who is next, how many to try at once, and when. Where a call waits is the waiting room's decision, and
whether it gets what it waits for is the store's.
"""

from __future__ import annotations

from bursar.call.books import Reserve
from bursar.edges.tickets import Waiter
from bursar.rules.allowances import Denial
from bursar.rules.fairness import FairLine, least_claim

# As many of a queue as one transaction tries, and as deep as it looks for who may try.
TRIES_MAX = 64
# The instant of a timer that is not set.
NEVER_MS = 2**53

Key = tuple[str, str]
"""What a queue is for: the name of an allowance, and a subject."""


class Queue:
    """A queue.

    denial: why it waits, as its leader was told at `denied_ms`. due_ms: when it has its turn, as the room has noted it.
    leader: who was tried first in its last turn: its head, or the first that was not passed over.
    blocked_by: the queue in which somebody comes before the head of this one.
    """

    __slots__ = (
        "_granted", "_head", "_releases", "_timed", "_timed_ms", "_watchers", "blocked_by", "denial", "denied_ms",
        "due_ms", "key", "leader", "line",
    )  # fmt: skip

    def __init__(self, key: Key, denial: Denial, now_ms: int) -> None:
        self.key = key
        self.line: FairLine[Waiter] = FairLine()
        self.denial = denial
        self.denied_ms = now_ms
        self.due_ms = NEVER_MS
        self.leader: Waiter | None = None
        self.blocked_by: Queue | None = None
        self._granted = 0
        self._releases = 0
        self._head: Waiter | None = None
        # For whom the time of the next turn was set; None: it is due at once.
        self._timed: Waiter | None = None
        self._timed_ms = 0
        self._watchers: dict[Queue, None] = {}

    def size_of(self, reserve: Reserve) -> int:
        """The least that an attempt needs of what is waited for here; 0 when it need not wait for it."""
        return least_claim(reserve.demand, self.denial.allowance.meter)

    def begin(self) -> int:
        """The first have their turn: how many.

        One more than there were releases, or than twice as many as there was room for the last time, and at least 2: so
        that who comes after those that are granted is told, in the same transaction, when its own turn is.
        """
        wanted = min(TRIES_MAX, max(self._releases, 2 * self._granted, 1) + 1)
        self._granted = self._releases = 0
        self.leader = self.blocked_by = None
        self.line.begin()
        return wanted

    def grant(self) -> None:
        """One of the queue was granted what it waited for."""
        self._granted += 1

    def release(self) -> None:
        """Something was given back: whoever is first may try."""
        self._releases += 1
        self._timed = None

    def time(self, waiter: Waiter, denial: Denial, due_ms: int, now_ms: int) -> None:
        """The first was tried and denied: there is no room before `due_ms`, unless something is given back."""
        self.denial, self.denied_ms = denial, now_ms
        self._timed, self._timed_ms = waiter, due_ms

    def sleep(self) -> None:
        """All of the first come after somebody elsewhere: there is nothing to try until one of these is gone."""
        self._timed, self._timed_ms = self._head, NEVER_MS

    def stir(self) -> None:
        """Somebody has come: where nobody could be tried, perhaps they can."""
        if self._timed_ms == NEVER_MS:
            self._timed = None

    def watch(self, queue: Queue) -> None:
        """Somebody here comes after the head of `queue`, and may try once that is gone."""
        queue._watchers[self] = None

    def waits_for(self, queue: Queue) -> bool:
        """Whether the head of `queue` must go, first or last, before the head of this one may."""
        by = self.blocked_by
        return by is not None and (by is queue or by.waits_for(queue))

    def renew(self) -> list[Queue]:
        """Note who is the head. Where it is another one than before: the queues that waited for that one to go."""
        head = self.line.head()
        if head is self._head:
            return []
        self._head = head
        watchers, self._watchers = list(self._watchers), {}
        for queue in (self, *watchers):
            # What its leader is being told in this moment is of before.
            queue._timed = queue.leader = queue.blocked_by = None
        return watchers

    def turn_ms(self, now_ms: int) -> int:
        """When the queue has its turn: when its first was told, and at once where that is not known or has gone."""
        if self._head is None:
            return NEVER_MS
        timed = self._timed
        if timed is None or timed.queue is not self or timed.ticket.waiter is not timed:
            return now_ms
        return max(self._timed_ms, now_ms)

    def wait_ms(self, now_ms: int) -> int:
        """How long it was told to wait, less what has passed since; at least 1."""
        return max(self.denial.wait_ms - (now_ms - self.denied_ms), 1)

"""Where denied calls wait: one queue per binding allowance and subject, fair between tenants.

    newcomer ─┬─ nobody waits for what it needs: tried
              └─ somebody does: waits behind them, and is looked at: what is refused for good is refused at once
    waiting ─── head of its queue, and due: tried ─┬─ granted
                                                   ├─ denied by what it waits for: due when that says
                                                   └─ denied by something else: waits for that, and makes way here

A newcomer passes nobody who waits for an allowance that binds both, whatever their sizes; what it does not need does
not concern it. A queue has its turn when the denial of its head said that there will be room, when something is given
back, and when another one has become its head. Whoever in it is bound by a second queue, and preceded there, is passed
over until that one is gone, and keeps its place; so does who moves, by arrival, before those of its tenant who came
later. A call arrives when it begins, not with each attempt: one that the provider refused after all comes back to where
it stood, and nobody has to remember it meanwhile. All of this holds within a process: newcomers of another one do not
see who waits here, and what they give back is noticed by a look every 50 ms.

It decides nothing about money: the store does, each time somebody is tried. Bounded in all.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import replace as altered
from itertools import count

from msgspec.structs import replace

from bursar.call.books import Granted, Reserve
from bursar.edges.queues import NEVER_MS, TRIES_MAX, Key, Queue
from bursar.edges.tickets import Ticket, Waiter
from bursar.edges.waits import WaitEnding, WaitStatistics
from bursar.errors import QueueFullError
from bursar.rules.allowances import Allowance, Denial
from bursar.rules.fairness import Tenants

# How often a head looks by itself for what is held: another process may have given it back, or somebody raised a limit.
LOOK_MS = 50
LOOK_ALONE_MS = 1_000
# Where other processes share a rate, what they give back before its time is noticed after this long.
RATE_LOOK_MS = 1_000
# A tenant may have this many times (and its weight) as many in one queue as the room has free places. So nobody fills
# the room for the others (the dynamic thresholds of Choudhury and Hahne, 1998).
THRESHOLD = 8
# Timers that have lost their meaning are kept until they pass, or until there are so many more of them.
TIMERS_SPARE = 256
# Calls that began in the same millisecond stand as they came: what is added to the time has room below this.
NUMBERS = 1 << 64
# As much as one round of turns does; the rest is due in the next.
TURNS_MAX = 8 * TRIES_MAX

Told = Granted | Denial | QueueFullError


class WaitingRoom:
    """Everybody who waits. Used by the teller's thread alone.

    capacity: how many may wait. shared: other processes use the same books.
    """

    def __init__(
        self, capacity: int, statistics: WaitStatistics, *, tenants: Tenants | None = None, shared: bool = True
    ) -> None:
        self.count = 0
        self._capacity = capacity
        self._statistics = statistics
        self._tenants = tenants or Tenants()
        self._shared = shared
        self._queues: dict[Key, Queue] = {}
        # The same queues, by the name of their allowance and by subject: found from a call's scopes.
        self._bound: dict[str, tuple[Allowance, dict[str, Queue]]] = {}
        # Whom the next newcomer of this transaction comes after, in queues whose heads are not simply where they were.
        self._last: dict[Key, str] = {}
        self._due: list[tuple[int, int, Queue]] = []
        self._deadlines: list[tuple[int, int, Waiter]] = []
        self._numbers = count(1)

    def leave(self, now_ms: int) -> list[tuple[Ticket, Denial]]:
        """Those whose deadline has passed, with why they waited."""
        gone = []
        while self._deadlines and self._deadlines[0][0] <= now_ms:
            waiter = heapq.heappop(self._deadlines)[2]
            if waiter.ticket.waiter is waiter:
                self._end(waiter, "timed_out", now_ms)
                gone.append((waiter.ticket, waiter.ticket.outcome))
        return gone

    def forget(self, ticket: Ticket, now_ms: int, ending: WaitEnding = "left") -> None:
        """A caller has gone, or is answered elsewhere. Nothing happens for one who does not wait."""
        if ticket.waiter is not None:
            self._end(ticket.waiter, ending, now_ms)

    def released(self, scopes: Mapping[str, str] | None, now_ms: int) -> None:
        """An attempt of these scopes gave something back (None: it is not known which): heads may try at once."""
        for queue in self._queues.values() if scopes is None else self._binding(scopes):
            queue.release()
            self._set(queue, now_ms)

    def turns(self, now_ms: int) -> list[Ticket]:
        """Those to try now: of each queue that is due the first few, each behind the one before."""
        self._last.clear()
        due: list[Queue] = []
        while self.next_due_ms() <= now_ms:
            queue = heapq.heappop(self._due)[2]
            queue.due_ms = NEVER_MS
            due.append(queue)
        tickets: list[Ticket] = []
        for queue in due:
            if len(tickets) < TURNS_MAX:
                tickets += self._turn(queue)
            else:
                self._set(queue, now_ms)
        return tickets

    def line_up(self, ticket: Ticket, now_ms: int) -> None:
        """Let a newcomer wait behind those who wait for what it needs. Nothing happens where nobody does."""
        reserve = ticket.reserve
        queues = [queue for queue in self._binding(reserve.scopes) if queue.size_of(reserve)]
        if not queues:
            return
        ticket.operation = replace(reserve, behind=tuple(self._last_of(queue) for queue in queues))
        for queue in queues:
            self._last[queue.key] = reserve.attempt_id
        ticket.outcome = _behind(queues[0], reserve, now_ms)
        if ticket.until_ms > now_ms and self._has_room(queues[0], ticket):
            self._park(ticket, queues[0], now_ms)

    def answer(self, ticket: Ticket, outcome: Granted | Denial | None, now_ms: int) -> Told | None:
        """What to tell the caller of a reserve; None: it waits."""
        waiter = ticket.waiter
        if isinstance(outcome, Granted):
            if waiter is not None:
                self._grant(waiter, outcome, now_ms)
            return outcome
        denial: Denial = ticket.outcome if outcome is None else outcome
        left_ms = 0 if ticket.abandoned else ticket.until_ms - now_ms
        # Who is denied for longer than it can wait would only keep others waiting.
        late = outcome is not None and outcome.comeback == "later" and outcome.wait_ms >= left_ms
        if left_ms <= 0 or late or denial.comeback == "never":
            self.forget(ticket, now_ms, "left" if ticket.abandoned else "timed_out" if left_ms <= 0 else "refused")
            return denial
        if outcome is None and waiter is not None:
            return None
        ticket.outcome = denial
        queue = self._queue_of(denial, now_ms)
        if waiter is None:
            if not self._has_room(queue, ticket):
                self._arrange(queue, now_ms)
                return self._full(denial)
            waiter = self._park(ticket, queue, now_ms)
        elif waiter.queue is not queue:
            self._move(waiter, queue, now_ms)
        if outcome is not None and (queue.leader is waiter or queue.line.head() is waiter):
            self._time(waiter, outcome, now_ms)
        return None

    def empty(self, now_ms: int) -> list[tuple[Ticket, Denial]]:
        """Everybody, in the order of arrival, with why they waited; the room is empty afterwards."""
        waiting = [waiter for queue in self._queues.values() for waiter in queue.line.first(len(queue.line))]
        for waiter in waiting:
            self._end(waiter, "left", now_ms)
        return [(one.ticket, one.ticket.outcome) for one in sorted(waiting, key=lambda waiter: waiter.arrival)]

    def next_ms(self) -> int:
        """When the next head is due or the next deadline passes."""
        deadline_ms = self._deadlines[0][0] if self._deadlines else NEVER_MS
        return min(deadline_ms, self.next_due_ms())

    def next_due_ms(self) -> int:
        """When the next head is due."""
        due = self._due
        while due and due[0][2].due_ms != due[0][0]:
            heapq.heappop(due)
        return due[0][0] if due else NEVER_MS

    def _turn(self, queue: Queue) -> list[Ticket]:
        """Those of a queue to try now; nobody where all of the first are preceded elsewhere."""
        wanted = queue.begin()
        first = queue.line.first(TRIES_MAX + 1 if len(self._queues) > 1 else wanted + 1)
        tried: list[Ticket] = []
        behind: tuple[str, ...] = ()
        others = ""
        for waiter in first:
            reserve = waiter.ticket.reserve
            ahead = self._preceded_in(waiter) if len(tried) < wanted else None
            if ahead is not None:
                queue.watch(ahead)
                if waiter is first[0]:
                    queue.blocked_by = ahead
            if ahead is not None or len(tried) == wanted:
                others = reserve.attempt_id
                continue
            queue.leader = queue.leader or waiter
            waiter.ticket.operation = replace(reserve, behind=behind)
            behind = (reserve.attempt_id,)
            tried.append(waiter.ticket)
        # A newcomer comes after the last that is tried, or, where not all are, after who is not and so is not granted.
        self._last[queue.key] = others or behind[0]
        if not tried:
            queue.sleep()
        return tried

    def _preceded_in(self, waiter: Waiter) -> Queue | None:
        """Another queue whose head comes before one who waits here; not one that waits for this one's head to go."""
        reserve, own = waiter.ticket.reserve, waiter.queue
        for queue in self._binding(reserve.scopes):
            if queue is own or not queue.size_of(reserve) or queue.line.precedes(waiter):
                continue
            if not (own.line.head() is waiter and queue.waits_for(own)):
                return queue
        return None

    def _binding(self, scopes: Mapping[str, str]) -> Iterator[Queue]:
        """The queues for what binds a call of these scopes."""
        for allowance, queues in self._bound.values():
            queue = queues.get(allowance.subject_of(scopes))  # type: ignore[arg-type]
            if queue is not None:
                yield queue

    def _last_of(self, queue: Queue) -> str:
        """The attempt after which a newcomer comes; who is not tried now stands for all that are not."""
        last = self._last.get(queue.key)
        if last is None:
            head = queue.line.head()
            assert head is not None
            last = head.ticket.reserve.attempt_id
        return last

    def _queue_of(self, denial: Denial, now_ms: int) -> Queue:
        key = (denial.allowance.name, denial.subject)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = Queue(key, denial, now_ms)
            self._bound.setdefault(key[0], (denial.allowance, {}))[1][key[1]] = queue
        return queue

    def _has_room(self, queue: Queue, ticket: Ticket) -> bool:
        tenant, weight = self._tenants.of(ticket.reserve.scopes)
        return queue.line.waiting_of(tenant) < THRESHOLD * weight * (self._capacity - self.count)

    def _full(self, denial: Denial) -> QueueFullError:
        self._statistics.turned_away(denial.allowance.name)
        error = QueueFullError(f"too many calls wait for {denial.allowance.name!r} already")
        error.retry_after_seconds = max(denial.wait_ms, 1_000) / 1000
        return error

    def _park(self, ticket: Ticket, queue: Queue, now_ms: int) -> Waiter:
        """Let a newcomer wait."""
        reserve = ticket.reserve
        tenant, weight = self._tenants.of(reserve.scopes)
        arrival = ticket.begun_ms * NUMBERS + next(self._numbers)
        waiter = Waiter(ticket, queue, arrival, tenant, weight, queue.size_of(reserve), now_ms)
        ticket.waiter = waiter
        self.count += 1
        queue.line.put(waiter)
        queue.stir()
        self._statistics.began(queue.key[0], waiter.arrival, now_ms)
        if len(self._deadlines) > 2 * self.count + TIMERS_SPARE:
            self._deadlines = [entry for entry in self._deadlines if entry[2].ticket.waiter is entry[2]]
            heapq.heapify(self._deadlines)
        heapq.heappush(self._deadlines, (ticket.until_ms, waiter.arrival, waiter))
        self._arrange(queue, now_ms)
        return waiter

    def _move(self, waiter: Waiter, queue: Queue, now_ms: int) -> None:
        """Let somebody wait for something else than before, at its place by arrival."""
        left = waiter.queue
        left.line.remove(waiter)
        waiter.queue, waiter.size = queue, queue.size_of(waiter.ticket.reserve)
        queue.line.put(waiter)
        queue.stir()
        self._statistics.moved(left.key[0], queue.key[0], waiter.arrival)
        self._arrange(left, now_ms)
        self._arrange(queue, now_ms)

    def _grant(self, waiter: Waiter, granted: Granted, now_ms: int) -> None:
        """Somebody got what it waited for: its tenant has had that much of all that others wait for."""
        waiter.queue.grant()
        for claim in granted.claims:
            queue = self._queues.get((claim.allowance, claim.subject))
            if queue is not None:
                queue.line.charge(waiter.tenant, waiter.weight, claim.amount)
                if queue is not waiter.queue:
                    self._arrange(queue, now_ms)
        self._end(waiter, "granted", now_ms)

    def _end(self, waiter: Waiter, ending: WaitEnding, now_ms: int) -> None:
        """Somebody waits no more; whoever stood behind it may be next."""
        waiter.ticket.waiter = None
        waiter.queue.line.remove(waiter)
        self.count -= 1
        self._statistics.ended(waiter.queue.key[0], waiter.arrival, ending)
        self._arrange(waiter.queue, now_ms)
        if not self.count:
            self._deadlines.clear()
            self._due.clear()

    def _time(self, waiter: Waiter, denial: Denial, now_ms: int) -> None:
        """The first of a queue was tried and denied: the next turn is when its denial says."""
        queue = waiter.queue
        wait_ms = denial.wait_ms
        if denial.comeback == "on_release":
            wait_ms = LOOK_MS if self._shared else LOOK_ALONE_MS
        elif self._shared:
            wait_ms = min(wait_ms, RATE_LOOK_MS)
        queue.time(waiter, denial, now_ms + max(wait_ms, 1), now_ms)
        self._bound[queue.key[0]] = (denial.allowance, self._bound[queue.key[0]][1])
        self._arrange(queue, now_ms)

    def _arrange(self, queue: Queue, now_ms: int) -> None:
        """Somebody has come, gone or been tried: note when the queue has its turn; let go of it when it is empty."""
        for freed in queue.renew():
            self._arrange(freed, now_ms)
        self._set(queue, queue.turn_ms(now_ms))
        name, subject = queue.key
        if not queue.line and self._queues.get(queue.key) is queue:
            del self._queues[queue.key]
            queues = self._bound[name][1]
            del queues[subject]
            if not queues:
                del self._bound[name]

    def _set(self, queue: Queue, due_ms: int) -> None:
        if due_ms == queue.due_ms:
            return
        queue.due_ms = due_ms
        if due_ms == NEVER_MS:
            return
        if len(self._due) > 2 * len(self._queues) + TIMERS_SPARE:
            self._due = [(each.due_ms, next(self._numbers), each) for each in self._queues.values()]
            heapq.heapify(self._due)
        else:
            heapq.heappush(self._due, (due_ms, next(self._numbers), queue))


def _behind(queue: Queue, reserve: Reserve, now_ms: int) -> Denial:
    """Why somebody waits who was not denied: others wait for the same, and come first."""
    needed, wait_ms = queue.size_of(reserve), queue.wait_ms(now_ms)
    return altered(queue.denial, reason="behind", needed=needed, wait_ms=wait_ms)

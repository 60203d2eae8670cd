"""Who is next where calls of several tenants wait for the same thing.

Each tenant has a virtual time at which its next call may begin, and whoever's comes first is next; a grant moves its
tenant on by the granted amount over the tenant's weight. So tenants that always have calls waiting get amounts in the
ratio of their weights, within one call, and a tenant that asks for little waits for one call of each other. Within a
tenant the first to come is the first served. The line's own time moves on with what is granted, and a tenant that comes
(or comes back) begins there: nobody saves up a share by staying away, and no flood of new tenants holds up an old one.

Nothing here knows a clock, an allowance's level or who was refused: that is the store's.

Source: start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), its virtual time advanced by the work done as
in WF2Q+ (Bennett and Zhang, SIGCOMM 1996).
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

from bursar.rules.allowances import Demand, Meter

# Virtual time of one unit of a meter at weight 1: fine enough that a call of one request has a share at any weight.
UNIT = 1 << 20
# Whose value tells tenants apart where nothing is configured; every call has a key.
DIMENSIONS = ("user", "session", "key")
# Tenants that have been served are remembered until the line's time reaches theirs, or until there are so many more.
SPARE = 64


def _no_weights() -> Mapping[str, int]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Tenants:
    """Whose share a call takes.

    fair_by: the dimension (or tag) whose values are the tenants; "": a call's user, else its session, else its key.
    weights: by value, 1 or more; 1 where nothing is said. Calls without the value are one tenant.
    """

    fair_by: str = ""
    weights: Mapping[str, int] = field(default_factory=_no_weights)

    def of(self, scopes: Mapping[str, str]) -> tuple[str, int]:
        """The tenant of a call with these scopes, and its weight.

        >>> Tenants().of({"key": "openai:0badcafe", "user": "ann"})
        ('user=ann', 1)
        >>> Tenants("team", {"search": 3}).of({"user": "ann", "team": "search"})
        ('team=search', 3)
        """
        for dimension in (self.fair_by,) if self.fair_by else DIMENSIONS:
            value = scopes.get(dimension)
            if value:
                return f"{dimension}={value}", self.weights.get(value, 1)
        return "", 1


def least_claim(demand: Demand, meter: Meter) -> int:
    """The least that an attempt claims of a meter; 0 when it needs nothing of it, or its price is not known."""
    if meter == "nano_usd":
        return demand.nano_usd(demand.output_tokens_min)
    if meter in ("requests", "in_flight"):
        return 1
    if meter == "input_tokens":
        return demand.rate_input_tokens
    return _least_output_rate(demand) + (demand.rate_input_tokens if meter == "tokens" else 0)


def _least_output_rate(demand: Demand) -> int:
    """The least that rate limits count of the output, over all choices; see `allowances.decide`, which knows more."""
    likely, low = demand.rate_output_tokens, demand.output_tokens_min
    if not demand.reserves:
        return likely if low == demand.output_tokens_max else min(likely, low)
    reserved = low * demand.reserves
    # Whether the limit goes to the provider, which then counts it in full, is known where a cap on the call sets it.
    return reserved if demand.capped_by else min(likely, demand.output_tokens_max, reserved)


class Standing(Protocol):
    """One who stands in a line. arrival: unique, orders a tenant's own. size: what it needs, in units of the meter."""

    arrival: int
    tenant: str
    weight: int
    size: int


One = TypeVar("One", bound=Standing)


class _Tenant(Generic[One]):
    __slots__ = ("start", "waiting", "weight")

    def __init__(self, weight: int) -> None:
        self.start = 0
        self.weight = weight
        self.waiting: list[One] = []


class FairLine(Generic[One]):
    """A line of those who wait for one thing. Every operation is logarithmic, `first` linear in the tenants."""

    __slots__ = ("_count", "_present", "_starts", "_tenants", "_time", "_weight")

    def __init__(self) -> None:
        self._tenants: dict[str, _Tenant[One]] = {}
        # (start, arrival of its first, tenant); entries that no longer hold are passed over.
        self._starts: list[tuple[int, int, str]] = []
        self._time = 0
        self._weight = 0
        self._present = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, one: One) -> None:
        """Stand in line: behind those of the same tenant who came before."""
        tenant = self._tenants.get(one.tenant)
        if tenant is None:
            tenant = self._tenants[one.tenant] = _Tenant(one.weight)
        if not tenant.waiting:
            tenant.start = max(tenant.start, self._time)
            self._weight += tenant.weight
            self._present += 1
        insort(tenant.waiting, one, key=attrgetter("arrival"))
        self._count += 1
        if tenant.waiting[0] is one:
            self._note(one.tenant, tenant)

    def remove(self, one: One) -> None:
        """Leave the line, served or not. Raises KeyError for one who does not stand in it."""
        tenant = self._tenants[one.tenant]
        at = bisect_left(tenant.waiting, one.arrival, key=attrgetter("arrival"))
        if at == len(tenant.waiting) or tenant.waiting[at] is not one:
            raise KeyError(one.arrival)
        del tenant.waiting[at]
        self._count -= 1
        if tenant.waiting:
            if at == 0:
                self._note(one.tenant, tenant)
            return
        self._weight -= tenant.weight
        self._present -= 1
        self._forget()

    def charge(self, name: str, weight: int, size: int) -> None:
        """A tenant was granted `size` units, whether it stood in this line or in another."""
        tenant = self._tenants.get(name)
        if tenant is None:
            tenant = self._tenants[name] = _Tenant(weight)
        weights = self._weight
        if not tenant.waiting:
            tenant.start = max(tenant.start, self._time)
            weights += tenant.weight
        tenant.start += max(size, 1) * UNIT // tenant.weight
        self._time += size * UNIT // weights
        if tenant.waiting:
            self._note(name, tenant)
        else:
            self._forget()

    def head(self) -> One | None:
        """Who is next."""
        starts = self._starts
        while starts:
            start, arrival, name = starts[0]
            tenant = self._tenants.get(name)
            if tenant is not None and tenant.waiting:
                one = tenant.waiting[0]
                if tenant.start == start and one.arrival == arrival:
                    return one
            heapq.heappop(starts)
        return None

    def first(self, count: int) -> list[One]:
        """The next `count`, in the order in which they would be served if each were granted its size."""
        starts = self._starts.copy()
        tried: dict[str, tuple[int, int]] = {}
        found: list[One] = []
        while starts and len(found) < count:
            start, arrival, name = heapq.heappop(starts)
            tenant = self._tenants.get(name)
            if tenant is None:
                continue
            at, begins = tried.get(name, (0, tenant.start))
            if at >= len(tenant.waiting) or begins != start or tenant.waiting[at].arrival != arrival:
                continue
            one = tenant.waiting[at]
            found.append(one)
            begins += max(one.size, 1) * UNIT // tenant.weight
            tried[name] = at + 1, begins
            if at + 1 < len(tenant.waiting):
                heapq.heappush(starts, (begins, tenant.waiting[at + 1].arrival, name))
        return found

    def begin(self) -> None:
        """The head has its turn now, and keeps it until it is served or leaves: nobody who comes later goes before."""
        head = self.head()
        if head is not None:
            self._time = max(self._time, self._tenants[head.tenant].start)

    def precedes(self, one: One) -> bool:
        """Whether somebody who stands elsewhere would be the head here."""
        head = self.head()
        if head is None:
            return True
        start = self._time
        tenant = self._tenants.get(one.tenant)
        if tenant is not None:
            if tenant.waiting and tenant.waiting[0].arrival < one.arrival:
                return False
            start = tenant.start if tenant.waiting else max(start, tenant.start)
        return (start, one.arrival) < (self._tenants[head.tenant].start, head.arrival)

    def waiting_of(self, name: str) -> int:
        """How many of a tenant stand in line."""
        tenant = self._tenants.get(name)
        return len(tenant.waiting) if tenant is not None else 0

    def _note(self, name: str, tenant: _Tenant[One]) -> None:
        """Enter a tenant where it stands now."""
        if len(self._starts) > 2 * (self._present + SPARE):
            present = ((each, other) for other, each in self._tenants.items() if each.waiting)
            self._starts = [(each.start, each.waiting[0].arrival, other) for each, other in present]
            heapq.heapify(self._starts)
        else:
            heapq.heappush(self._starts, (tenant.start, tenant.waiting[0].arrival, name))

    def _forget(self) -> None:
        """Let go of absent tenants when they are many: of those whose time has come, then of those least ahead."""
        if len(self._tenants) <= 2 * (self._present + SPARE):
            return
        absent = sorted((each.start, name) for name, each in self._tenants.items() if not each.waiting)
        for start, name in absent:
            if start > self._time and len(self._tenants) <= self._present + SPARE:
                break
            del self._tenants[name]

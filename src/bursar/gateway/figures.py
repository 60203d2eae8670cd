"""What stands beside the counts of calls on the page of metrics: pools, queues, the process, the books, the budgets.

Decides which of them have a series, within bounds: allowances that a file or the keys define, never those of single
sessions, and never a series for each user or other subject of one. What only a worker knows is kept apart from what
stands in the books, which is the same whoever is asked.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bursar
from bursar.call.books import Balance
from bursar.edges.alerting import SESSION
from bursar.rules.alerts import percent_of
from bursar.rules.allowances import Allowance
from bursar.telemetry.families import Family, Kind, Labels, Merge, Value, label_of

if TYPE_CHECKING:
    from bursar.engine import Engine
    from bursar.gateway.state import State

# Allowances that have a series: those of files first, then by name.
ALLOWANCES_MAX = 100
_NANO_PER_USD = 10**9
STARTED_SECONDS = time.time()


def of_worker(state: State) -> list[Family]:
    """What only this worker knows. To be called on its loop."""
    return [*_pools(state), *_queues(state), *_process()]


def of_books(engine: Engine) -> list[Family]:
    """What stands in the books. Blocks. Raises StoreUnavailableError."""
    repository = engine.store.repository()
    allowances = _chosen(engine.store.allowances())
    balances = engine.store.balances(engine.clock(), names=[one.name for one in allowances]) if allowances else []
    return [
        _gauge("books_bytes", "Size of the file of the books.", repository.file_bytes),
        _gauge("books_wal_bytes", "Size of its write-ahead log.", repository.wal_bytes),
        *_budgets([one for one in allowances if one.meter == "nano_usd"], balances),
        *_limits([one for one in allowances if one.meter != "nano_usd"], balances),
    ]


def _pools(state: State) -> list[Family]:
    pools = state.transport.statistics()

    def each(name: str, text: str, field: str, kind: Kind = "gauge") -> Family:
        samples: list[tuple[Labels, Value]] = [
            ((label_of(provider),), getattr(pool, field)) for provider, pool in pools.items()
        ]
        return Family(f"bursar_pool_{name}", kind, text, ("provider",), samples)

    most = {provider: pool.limits.max_connections for provider, pool in pools.items()}
    return [
        _gauge("requests_under_way", "Requests that are being answered.", state.under_way),
        each("seats_in_use", "Exchanges with a provider under way.", "seats_in_use"),
        _by("pool_seats_max", "Exchanges that may be under way at once.", "provider", most),
        each("waiting", "Calls that wait for a connection.", "waiting"),
        each("idle", "Connections kept open for reuse.", "idle"),
        each("exchanges_total", "Places that calls took for an exchange.", "exchanges", "counter"),
        each("opened_total", "Connections made.", "opened", "counter"),
        each("reused_total", "Exchanges on a connection that was there already.", "reused", "counter"),
        each("waits_total", "Exchanges that could not begin at once.", "waits", "counter"),
        each("failures_total", "Exchanges without a whole reply.", "failures", "counter"),
    ]


def _queues(state: State) -> list[Family]:
    teller, repository = state.engine.teller, state.engine.store.repository()
    queues = sorted(teller.queues().items(), key=lambda queue: -queue[1]["waiting"])[:ALLOWANCES_MAX]
    waiting: list[tuple[Labels, Value]] = [((label_of(name),), figures["waiting"]) for name, figures in queues]
    return [
        Family("bursar_queue_waiting", "gauge", "Calls that wait for a budget or limit.", ("allowance",), waiting),
        _gauge("books_queued", "Operations that wait to be committed.", teller.queued),
        _gauge("books_unsettled", "Settles that the books have not taken yet.", teller.unsettled),
        _gauge("books_readers_open", "Read connections that are open.", repository.readers_open),
        _gauge("books_readers_in_use", "Read connections in use.", repository.readers_in_use),
        _gauge("books_readers_max", "Read connections that may be open.", repository.readers_max),
        _gauge("books_writers_open", "Write connections that are open.", repository.writers_open),
        _gauge("books_writers_max", "Write connections that may be open.", repository.writers_max),
        Family("bursar_books_commits_total", "counter", "Transactions written.", (), [((), repository.commits)]),
    ]


def _process() -> list[Family]:
    times = os.times()
    families = [
        _gauge("workers", "Workers that live.", 1),
        Family("bursar_info", "gauge", "The version.", ("version",), [((bursar.__version__,), 1)], merge="max"),
        Family("process_cpu_seconds_total", "counter", "CPU time of all workers.", (),
               [((), round((times.user + times.system) * 1000))], 1000),
        Family("process_start_time_seconds", "gauge", "When the oldest worker started, in epoch seconds.", (),
               [((), STARTED_SECONDS)], merge="min"),
    ]  # fmt: skip
    if sys.platform == "linux":
        with contextlib.suppress(OSError, ValueError):
            pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
            files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only how many
            families += [
                _plain("process_resident_memory_bytes", "Memory of all workers.", pages * os.sysconf("SC_PAGE_SIZE")),
                _plain("process_open_fds", "Open files and sockets of all workers.", files),
            ]
    return families


def _chosen(allowances: Iterable[Allowance]) -> list[Allowance]:
    """Those that have a series: not of single sessions, which come and go; of files before those of keys."""
    lasting = [one for one in allowances if one.source != SESSION]
    return sorted(lasting, key=lambda one: (":" in one.name, one.name))[:ALLOWANCES_MAX]


def _budgets(budgets: list[Allowance], balances: list[Balance]) -> list[Family]:
    of = _by_name(balances)
    limits = {one.name: one.capacity for one in budgets}
    limits |= {name: stands[0].limit for name, stands in of.items() if name in limits and len(stands) == 1}
    spent = {one.name: sum(stand.spent for stand in of.get(one.name, ())) for one in budgets}
    held = {one.name: sum(stand.held for stand in of.get(one.name, ())) for one in budgets}
    shares = {one.name: _fullest(of.get(one.name, [])) for one in budgets}
    each = {one.name: len(of.get(one.name, ())) for one in budgets if one.each is not None}
    return [
        _money("budget_spent_usd", "USD spent in the current window, by all who share the budget's name.", spent),
        _money("budget_held_usd", "USD held by calls in flight.", held),
        _money("budget_limit_usd", "USD that one window may cost; of each subject, where there are several.", limits),
        _by("budget_used_percent", "Whole percent spent, of the subject that has spent most.", "budget", shares),
        _by("budget_subjects", "Subjects that have spent something in the current window.", "budget", each),
    ]


def _limits(limits: list[Allowance], balances: list[Balance]) -> list[Family]:
    of = _by_name(balances)
    used = {one.name: max((stand.spent + stand.held for stand in of.get(one.name, ())), default=0) for one in limits}
    capacity = {one.name: one.capacity for one in limits}
    return [
        _by("limit_used", "Units of the limit in use now, by the subject that uses most.", "limit", used),
        _by("limit_capacity", "Units that the limit allows.", "limit", capacity),
    ]


def _by_name(balances: list[Balance]) -> dict[str, list[Balance]]:
    ordered = sorted(balances, key=lambda one: one.allowance)
    return {name: list(stands) for name, stands in groupby(ordered, key=lambda one: one.allowance)}


def _fullest(stands: list[Balance]) -> int:
    return max((percent_of(one.spent, one.limit) for one in stands), default=0)


def _money(name: str, text: str, amounts: dict[str, int]) -> Family:
    return Family(f"bursar_{name}", "gauge", text, ("budget",), _samples(amounts), _NANO_PER_USD)


def _by(name: str, text: str, label: str, values: dict[str, int]) -> Family:
    return Family(f"bursar_{name}", "gauge", text, (label,), _samples(values))


def _samples(values: dict[str, int]) -> list[tuple[Labels, Value]]:
    return [((label_of(name),), value) for name, value in values.items()]


def _gauge(name: str, text: str, value: int, merge: Merge = "sum") -> Family:
    return _plain(f"bursar_{name}", text, value, merge)


def _plain(name: str, text: str, value: Any, merge: Merge = "sum") -> Family:
    return Family(name, "gauge", text, (), [((), value)], merge=merge)

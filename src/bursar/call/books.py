"""The operations on the books and their outcomes: what a Store must be able to do, and nothing else.

A Store is blocking and small. `transact` applies operations in order, in one transaction: all of them are durable when
it returns, or none is. Ids come from the caller, so an operation that is repeated after a lost acknowledgement has no
further effect and returns its first outcome. What binds an attempt is found inside the transaction, from the
allowances that the store itself holds.

A hold ends exactly once: settled, voided, or expired (its money counts as spent). A settle after an expiry corrects
the charge once; a void after an expiry gives the money back once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from msgspec import Struct

from bursar.rules.allowances import Allowance, Demand, Denial, Meter
from bursar.rules.money import CostSource
from bursar.rules.usage import EMPTY_USAGE, Usage
from bursar.wire.rate_headers import Observation

if TYPE_CHECKING:
    from bursar.call.alerts import AlertClaims
    from bursar.call.breakers import BreakerBoard
    from bursar.call.history import History
    from bursar.call.keyring import Keyring
    from bursar.call.replays import Replays

Ending = Literal["ok", "error", "aborted", "interrupted", "cancelled", "not_sent", "expired"]


class Claim(NamedTuple):
    """What an attempt holds of one level: at most `amount` units of the allowance's meter."""

    allowance: str
    subject: str
    start_ms: int
    meter: Meter
    amount: int


class Reserve(Struct, frozen=True, gc=False):
    """Claim what an attempt may use at most, from every allowance that binds its scopes: all of it or nothing.

    attempt_id: unique for ever, and beginning with call_id, by which the attempts of a call are found.
    scopes: dimension -> value: "provider", "model" (provider/model), "key", "user", "session", and any tag.
    refunds: settling gives back what was not used of rate limits (the provider counts actual use).
    begun_ms: when its call began, epoch milliseconds: those who wait stand in that order; 0 for now.
    behind: attempts that go first. Unless all of them are granted in the same transaction, before this one, nothing is
    claimed: the outcome is the denial that the attempt would get, or None if it is only not its turn.
    """

    attempt_id: str
    call_id: str
    scopes: Mapping[str, str]
    demand: Demand
    refunds: bool = True
    behind: tuple[str, ...] = ()
    begun_ms: int = 0


class Fact(Struct, frozen=True, gc=False):
    """What became of an attempt: one row of the ledger. Times are epoch milliseconds, durations milliseconds.

    bound_nano_usd: what was held. cost_nano_usd: the fact, None while it is not known.
    charged_nano_usd: what the budgets carry: the cost, or the bound as long as the cost is uncertain.
    certain: the charge is the fact and not a bound.
    model: as asked, `served_model`: as the provider answered, both without the provider's name.
    """

    attempt_id: str
    call_id: str
    provider: str
    model: str
    scopes: Mapping[str, str]
    ending: Ending
    bound_nano_usd: int
    charged_nano_usd: int
    cost_nano_usd: int | None
    cost_source: CostSource
    certain: bool
    reserved_ms: int
    ended_ms: int
    served_model: str = ""
    dialect: str = ""
    price_version: str = ""
    usage: Usage = EMPTY_USAGE
    status: int | None = None
    error_code: str = ""
    request_id: str = ""
    wait_ms: int = 0
    first_token_ms: int | None = None
    duration_ms: int = 0
    stream: bool = False
    output_tokens_max: int | None = None
    capped_by: str = ""
    would_refuse: tuple[str, ...] = ()

    def used(self, meter: Meter, claimed: int) -> int:
        """What the attempt used of a meter; the claim where that is not known."""
        if meter == "nano_usd":
            return self.charged_nano_usd
        if meter in ("requests", "in_flight") or (not self.usage.leaves and not self.certain):
            return claimed
        if meter == "tokens":
            return self.usage.total_tokens
        return self.usage.input_tokens if meter == "input_tokens" else self.usage.output_tokens


class Settle(Struct, frozen=True, gc=False):
    """End a hold with the fact. observed: what the provider's answer said of its limits (see `call.observing`).

    limits: whether the outcome is to say where limits on requests and tokens stand.
    """

    fact: Fact
    observed: tuple[Observation, ...] = ()
    limits: bool = False


class Void(Struct, frozen=True, gc=False):
    """End a hold whose attempt was provably never sent. With a fact, the ledger remembers the attempt (charged 0)."""

    attempt_id: str
    fact: Fact | None = None


class Adjust(Struct, frozen=True, gc=False):
    """Correct the charge of an ended attempt by evidence (the provider's own record), once an evidence.

    The fact replaces what the row said; its scopes, window and bound stay. A row that is certain is not corrected. An
    attempt still pending ends with the fact, and its settle finds it ended; one that nobody knows is believed, recorded
    and charged in the window of its reservation. Upwards it may overdraw a budget, and the outcome says so.
    evidence: where it comes from, as in "openrouter:/generation:gen-1"; never empty.
    """

    fact: Fact
    evidence: str


class Mark(Struct, frozen=True, gc=False):
    """Remember the provider's request id of an attempt in flight. Not awaited."""

    attempt_id: str
    request_id: str


class Renew(Struct, frozen=True, gc=False):
    """Prolong the lease under which this process keeps its holds."""

    lease_ms: int


class Expire(Struct, frozen=True, gc=False):
    """End the holds of processes that are gone: their money counts as spent until evidence arrives."""


Operation = Reserve | Settle | Void | Adjust | Mark | Renew | Expire


class Balance(NamedTuple):
    """Where a budget or limit stands, in units of its meter. `resets_at_ms` is None for a total and for a gauge."""

    allowance: str
    subject: str
    meter: Meter
    period: str
    spent: int
    held: int
    limit: int
    resets_at_ms: int | None

    @property
    def left(self) -> int:
        """What can still be claimed; below 0 when the allowance is overdrawn (a lowered limit, a debt)."""
        return self.limit - self.spent - self.held


class Granted(Struct, frozen=True, gc=False):
    """The attempt may be sent: its claims are durable. `output_tokens` is the output limit it was granted for."""

    attempt_id: str
    at_ms: int
    nano_usd: int
    output_tokens: int
    claims: tuple[Claim, ...]
    capped_by: str = ""
    would_refuse: tuple[str, ...] = ()


class Ended(Struct, frozen=True, gc=False):
    """A hold has ended (now, or earlier by the same operation). `balances`: the money allowances it moved.

    changed: False when the operation had no effect because it had been applied before.
    overdrawn: names of the budgets that now stand above their limit: an alarm.
    beyond: limits that are larger than the provider's own, as (name, the provider's limit) each. limits: where those on
    requests and tokens stand, if that was asked for.
    """

    attempt_id: str
    balances: tuple[Balance, ...] = ()
    changed: bool = True
    overdrawn: tuple[str, ...] = ()
    beyond: tuple[tuple[str, int], ...] = ()
    limits: tuple[Balance, ...] = ()


class Expired(Struct, frozen=True, gc=False):
    """The attempts whose holds were ended because their process is gone, with what each now charges in nano-USD."""

    attempts: tuple[tuple[str, int], ...] = ()


Outcome = Granted | Denial | Ended | Expired | None


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """What to add up from the ledger: rows reserved in [since_ms, until_ms), grouped by up to three dimensions.

    group_by: any of "provider", "model", "served_model" (the provider's name for what served, as asked where it did not
    say), "key", "user", "session", "day", "hour", "ending", or a tag's name.
    only: scope values that rows must carry.
    """

    group_by: tuple[str, ...] = ("model",)
    since_ms: int = 0
    until_ms: int | None = None
    only: Mapping[str, str] = field(default_factory=dict)
    time_zone: str = "UTC"
    would_refuse: bool = False


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One group of the ledger. `group` has the values in the order of `group_by`; unknown costs are only counted."""

    group: tuple[str, ...]
    calls: int
    ok: int
    errors: int
    input_tokens: int
    output_tokens: int
    charged_nano_usd: int
    certain_nano_usd: int
    uncertain_calls: int
    unknown_cost_calls: int
    would_refuse: Mapping[str, int] = field(default_factory=dict)


class Repository(NamedTuple):
    """The file of the books and the connections to it, as this process has them; all 0 for books in memory.

    commits: transactions that this process has written. last_commit_ms: epoch milliseconds, 0 for none yet.
    """

    readers_open: int = 0
    readers_in_use: int = 0
    readers_max: int = 0
    writers_open: int = 0
    writers_max: int = 0
    wal_bytes: int = 0
    file_bytes: int = 0
    commits: int = 0
    last_commit_ms: int = 0


class Store(Protocol):
    """The books. Every method blocks; `transact` is called by one thread at a time, the reads by any.

    All raise StoreUnavailableError when the books cannot be read or written.
    """

    @property
    def board(self) -> BreakerBoard:
        """Where processes that use these books post their circuit breakers."""

    @property
    def keyring(self) -> Keyring:
        """The keys of those who call through the gateway."""

    @property
    def alerts(self) -> AlertClaims:
        """Where processes that use these books agree on who tells people of what."""

    @property
    def history(self) -> History:
        """Calls as they are found again, those that were refused as well."""

    @property
    def replays(self) -> Replays:
        """Calls that callers ask for under idempotency keys."""

    def transact(self, operations: Sequence[Operation], clock: Callable[[], int]) -> list[Outcome]:
        """Apply all operations in one durable transaction, in order. `clock` is read once the lock is held.

        Settles come before reserves in effect when the caller orders them so; the store keeps the given order.
        """

    def define(self, allowances: Sequence[Allowance], source: str, clock: Callable[[], int]) -> None:
        """Make `allowances` the ones that `source` defines: new and changed ones start from the ledger and the pending
        holds of their window; those that `source` defined before and no longer does are removed. Raises ConfigError
        when another live process defines an allowance of the same name differently.
        """

    def allowances(self) -> list[Allowance]:
        """Every definition in the books, by name."""

    def put_allowance(self, allowance: Allowance, clock: Callable[[], int]) -> None:
        """Make or change one definition, as its source. ConfigError when a file defines that name: it says where."""

    def remove_allowance(self, name: str, clock: Callable[[], int]) -> None:
        """Remove one definition. ConfigError where there is none, and where a file in use or a program defines it."""

    def top_up(self, name: str, amount: int, subject: str, clock: Callable[[], int]) -> Balance:
        """Add credit to the current window of a calendar allowance, in units of its meter. Raises ConfigError."""

    def balances(self, now_ms: int, *, names: Sequence[str] = (), subject: str | None = None) -> list[Balance]:
        """Where every allowance stands in its current window, one row a subject that has been seen."""

    def usage(self, query: UsageQuery) -> list[UsageRow]:
        """Add up the ledger."""

    def attempts(
        self,
        *,
        call_id: str = "",
        provider: str = "",
        since_ms: int = 0,
        until_ms: int | None = None,
        uncertain: bool = False,
        limit: int = 100,
    ) -> list[Fact]:
        """Rows of the ledger, newest first: of a call, of a provider, reserved in [since_ms, until_ms), uncertain."""

    def repository(self) -> Repository:
        """How the file and its connections are doing; cheap enough for every second."""

    def close(self) -> None:
        """Give up this process's lease and close every connection. Holds still pending become orphans."""

"""Every key of bursar.yaml: its kind and range, what it is for, and the module that acts on it.

This table is what the file is read by and what `config schema`, `config show` and the documentation are made from. A
key that acts nowhere has no place here.
"""

from __future__ import annotations

from dataclasses import dataclass

from bursar.config.compounds import Anything, Day, Days, Headers, Percents, Texts, Url, Values, Zone
from bursar.config.credentials import Credential
from bursar.config.kinds import Choice, Kind, Percent, Seconds, Text, Truth, Usd, Whole
from bursar.rules.windows import PERIODS

# Above these, capacity x period is beyond what a bucket counts exactly (2**53), or no connection table holds it.
PER_MINUTE_MAX = 10_000_000_000
PER_DAY_MAX = 100_000_000
CONNECTIONS_MAX = 100_000
# A longer limit on time is a mistake of units.
DAY_SECONDS = 86_400.0

BUDGET_PERIODS = ("hour", "day", "week", "month", "total")
LIMIT_METERS = ("requests", "tokens", "input_tokens", "output_tokens", "in_flight")
# What a call has of itself, and the tags that most people use; any other name is a tag's too.
OWN_DIMENSIONS = ("provider", "model", "key", "user", "session")
DIMENSIONS = (*OWN_DIMENSIONS, "organisation", "team")
NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
TAG = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    acts_in: the module that does what the key says. field: its name in the tree, where it differs.
    """

    name: str
    kind: Kind
    help: str
    acts_in: str
    field: str = ""

    @property
    def attribute(self) -> str:
        """The name of the field that holds its value."""
        return self.field or self.name


def _timeout(what: str) -> Key:
    return Key(f"{what}_timeout", Seconds(0.001, DAY_SECONDS), _TIMEOUTS[what], "edges.http")


_TIMEOUTS = {
    "connect": "seconds for DNS, TCP and TLS together",
    "read": "seconds between two pieces of a reply",
    "write": "seconds for writing a piece of the request",
    "pool": "seconds that a call waits for a connection",
}
_MODEL = Text("the name of a model", r"\S+")
_NAME = Text("a name of letters, digits, - and _", NAME)
_TAG = Text("the name of a dimension (provider, model, key, user, session, organisation, team) or of a tag", TAG)

PROVIDER_KEYS = (
    Key("base_url", Url(), "where the API is; default of the provider's row", "edges.http"),
    Key("api_key", Credential(), "${NAME}, file:PATH, {file: PATH} or {command: [...]}", "client"),
    Key("model", _MODEL, "the model of a call that names none", "client"),
    Key("enable_cost_tracking", Truth(), "price calls; cannot be off under a budget", "call.flow"),
    Key("cost_warning_threshold", Usd(), "USD a call from which on a warning is due", "call.flow",
        "cost_warning_threshold_nano_usd"),
    Key("daily_cost_limit", Usd(), "USD a day: a budget like any other", "rules.allowances",
        "daily_cost_limit_nano_usd"),
    Key("max_cost_per_request", Usd(), "USD that one call may cost, all its attempts together", "call.flow",
        "max_cost_per_request_nano_usd"),
    Key("enable_metrics", Truth(), "measure times, tokens and errors", "telemetry.stats"),
    Key("log_costs", Truth(), "a log line with the cost of each call", "telemetry.log"),
    Key("log_token_usage", Truth(), "a log line with the tokens of each call", "telemetry.log"),
    Key("max_connections", Whole(1, CONNECTIONS_MAX), "connections at once", "edges.http"),
    Key("max_keepalive", Whole(0, CONNECTIONS_MAX), "idle connections kept", "edges.http"),
    Key("keepalive_expiry", Seconds(0, DAY_SECONDS), "seconds that an idle connection is kept", "edges.http"),
    _timeout("connect"),
    _timeout("read"),
    _timeout("write"),
    _timeout("pool"),
    Key("requests_per_minute", Whole(1, PER_MINUTE_MAX), "the provider's limit, kept before it refuses",
        "rules.allowances"),
    Key("tokens_per_minute", Whole(1, PER_MINUTE_MAX), "the provider's limit", "rules.allowances"),
    Key("requests_per_day", Whole(1, PER_DAY_MAX), "the provider's limit", "rules.allowances"),
    Key("tokens_per_day", Whole(1, PER_DAY_MAX), "the provider's limit; for more see limits with window: true",
        "rules.allowances"),
    Key("concurrent_requests", Whole(1, CONNECTIONS_MAX), "calls in flight at once, over all processes",
        "rules.allowances"),
    Key("max_retries", Whole(0, 20), "attempts after the first that a call may make", "rules.retries"),
    Key("circuit_breaker_threshold", Whole(1, 10_000), "consecutive failures that open the breaker", "rules.breaker"),
    Key("circuit_breaker_timeout", Seconds(0.001, DAY_SECONDS), "seconds, base of the time it stays open",
        "rules.breaker"),
    Key("discount", Percent(), "off the list price", "catalog.prices"),
    Key("price", Choice(("free",)), "free: calls to this provider cost nothing", "catalog.prices"),
    Key("extra_headers", Headers(), "sent with every request", "edges.http"),
    Key("enable_fallbacks", Truth(), "let the provider serve fallback_models", "client"),
    Key("fallback_models", Texts(_MODEL), "models that OpenRouter may serve instead, in order", "client"),
    Key("provider_preferences", Anything(), "OpenRouter's routing preferences, as it documents them", "client"),
    Key("app_name", Text(), "how OpenRouter lists the application", "client"),
    Key("app_url", Url(), "the application's address, for OpenRouter", "client"),
    Key("organization", Text(), "OpenAI-Organization", "client"),
    Key("project", Text(), "OpenAI-Project", "client"),
)  # fmt: skip

BUDGET_KEYS = (
    Key("usd", Usd(), "the most that may be spent in one window", "rules.allowances"),
    Key("per", Choice(BUDGET_PERIODS), "the window", "rules.allowances"),
    Key("each", _TAG, "every value of this has a budget of its own", "rules.allowances"),
    Key("only", Values(TAG), "binds calls with these values: {team: search}", "rules.allowances"),
    Key("missing", Choice(("pool", "refuse")), "calls without the value: together in one pool, or refused",
        "rules.allowances"),
    Key("rolling", Truth(), "the last hour, day, ... instead of the calendar's", "rules.windows"),
    Key("mode", Choice(("enforce", "observe")), "observe counts and refuses nothing", "rules.allowances"),
    Key("alert_at", Percents(1_000), "shares of the budget at which an alert is due", "telemetry.log"),
)  # fmt: skip

LIMIT_KEYS = (
    *(Key(meter, Whole(1, PER_MINUTE_MAX * 100), f"the most {meter.replace('_', ' ')}", "rules.allowances")
      for meter in LIMIT_METERS),
    Key("per", Choice(PERIODS), "second, minute, hour or day; with window: true any of a budget's too",
        "rules.allowances"),
    Key("each", _TAG, "every value of this has a limit of its own", "rules.allowances"),
    Key("only", Values(TAG), "binds calls with these values: {user: ann}", "rules.allowances"),
    Key("missing", Choice(("pool", "refuse")), "calls without the value: together in one pool, or refused",
        "rules.allowances"),
    Key("window", Truth(), "counts by the calendar instead of refilling continuously", "rules.windows"),
    Key("mode", Choice(("enforce", "observe")), "observe counts and refuses nothing", "rules.allowances"),
)  # fmt: skip

RETENTION_KEYS = (
    Key("ledger", Days({"forever": None}), "how long the ledger keeps rows before they are folded", "cli.db",
        "ledger_days"),
    Key("prompts", Days({"never": 0, "forever": None}), "never: prompts are not stored", "edges.stores",
        "prompts_days"),
)  # fmt: skip
ALERT_KEYS = (Key("webhook", Credential(), "where alerts are posted", "telemetry.alerts"),)
GATEWAY_KEYS = (
    Key("host", Text("a host name or address", r"[A-Za-z0-9_.:\[\]-]+"), "the address to listen on", "gateway"),
    Key("port", Whole(0, 65_535), "the port to listen on", "gateway"),
)

ROOT_KEYS = (
    Key("time_zone", Zone(), "of calendar windows", "rules.windows"),
    Key("books", Text("a path, sqlite:///PATH or memory:", high=4_096), "where the ledger is", "edges.stores"),
    Key("mode", Choice(("enforce", "observe")), "observe counts everything and refuses nothing", "rules.allowances"),
    Key("max_wait_seconds", Seconds(0, 3_600), "how long a call may wait for held money or a limit; 0 not at all",
        "edges.teller"),
)  # fmt: skip
LLM_KEYS = (Key("active", _NAME, "the provider of bare model names", "config.models"),)
FROM_KEY = Key("from", Day(), "the UTC date from which the price holds", "catalog.prices")

# The mappings that the file has, beside the plain keys of the root.
ROOT_SECTIONS = {
    "llm": "providers, and which of them is active",
    "routes": "names of ours, each a list of provider/model in order of preference",
    "prices": "USD per million units, by provider/model",
    "budgets": "limits on money, by name",
    "limits": "limits on requests, tokens and calls in flight, by name",
    "retention": "how long things are kept",
    "alerts": "where alerts go",
    "gateway": "where the gateway listens",
}

"""Every key of bursar.yaml: its kind and range, what it is for, and the module that acts on it.

This table is what the file is read by and what `config schema`, `config show` and the documentation are made from. A
key that acts nowhere has no place here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from bursar.catalog.providers import DIALECTS, Auth, OnAbort, RateHeaders
from bursar.config.columns import Address, ChoiceOrNone, Choices, Deployments, RowName
from bursar.config.compounds import Day, Days, Headers, Percents, Texts, Url, Values, Weights, Zone
from bursar.config.credentials import Credential
from bursar.config.kinds import Choice, Kind, Percent, Seconds, Share, Text, Truth, Usd, Whole
from bursar.config.preferences import Preferences
from bursar.config.several_keys import Keys
from bursar.config.tree import AfterFirstToken, AlertForm, MetricsAccess, OnContent
from bursar.rules.windows import PERIODS
from bursar.wire.dialect import Prefill

# Above these, capacity x period is beyond what a bucket counts exactly (2**53), or no connection table holds it.
PER_MINUTE_MAX = 10_000_000_000
PER_DAY_MAX = 100_000_000
CONNECTIONS_MAX = 100_000
# A larger share is as good as all.
WEIGHT_MAX = 1_000
# A longer limit on time is a mistake of units.
DAY_SECONDS = 86_400.0

BUDGET_PERIODS = ("hour", "day", "week", "month", "total")
LIMIT_METERS = ("requests", "tokens", "input_tokens", "output_tokens", "in_flight")
# What a call has of itself, and the tags that most people use; any other name is a tag's too.
OWN_DIMENSIONS = ("provider", "model", "key", "provider_key", "user", "session")
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
_BETA = Text("the name of a beta", r"[A-Za-z0-9._=-]+")
_CATEGORY = Text("a category such as cli-agent", r"[a-z0-9-]{1,30}")
_HEADER = Text("one line of plain characters", r"[ -~]+")

PROVIDER_KEYS = (
    Key("row", RowName(), "whose row of the catalog it follows: another account of openai, another resource of azure",
        "catalog.providers"),
    Key("base_url", Address(), "where the API is; default of the provider's row", "catalog.targets"),
    Key("api_version", Text("a version such as 2024-10-21 or preview", r"[A-Za-z0-9.-]+"),
        "the query parameter api-version, which Azure's older addresses need", "catalog.targets"),
    Key("api_key", Credential(), "${NAME}, file:PATH, {file: PATH} or {command: [...]}", "client"),
    Key("keys", Keys(_NAME), "several keys, beside api_key or in its place: each a secret, or {key: SECRET, weight: 2, "
        "name: spare}", "rules.rotation"),
    Key("auth", Choice(get_args(Auth)), "how the key is sent", "catalog.headers"),
    Key("dialects", Choices(DIALECTS), "the wire formats that it speaks", "client"),
    Key("limit_field", Choice(("max_tokens", "max_completion_tokens")), "what a chat calls the output limit",
        "catalog.targets"),
    Key("usage_field", ChoiceOrNone(("stream_options",)), "how streams are asked for usage; none: it comes unasked",
        "catalog.targets"),
    Key("settles", Choice(("actual", "reserved")), "what counts against its limits of tokens: the use, or the claim",
        "rules.allowances"),
    Key("rate_headers", ChoiceOrNone(tuple(filter(None, get_args(RateHeaders)))),
        "whose form its headers about rate limits have", "wire.rate_headers"),
    Key("reports_cost", Truth(), "a cost in its replies is what it charges", "call.meter"),
    Key("bills_errors", Truth(), "it may charge for a status of 400 or more", "call.meter"),
    Key("cancel_stops_billing", Truth(), "closing a stream ends its bill", "call.flow"),
    Key("prefill", ChoiceOrNone(tuple(filter(None, get_args(Prefill)))), "how it is told to go on from an answer that "
        "broke off: by the last message alone, by `prefix` in it, or by a flag", "wire.continuing"),
    Key("on_abort", Choice(get_args(OnAbort)), "when a caller leaves a stream: read it to its end behind the caller's "
        "back, close it and charge the bound until its record is there, or close it and charge what came", "call.flow"),
    Key("model", _MODEL, "the model of a call that names none", "client"),
    Key("deployments", Deployments(_MODEL), "its names of models, each with the model whose price and limits it has",
        "client"),
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
    Key("first_token_timeout", Seconds(0.001, DAY_SECONDS), "seconds for a stream to begin; another candidate is asked "
        "then", "call.flow"),
    Key("stall_timeout", Seconds(0.001, DAY_SECONDS), "seconds of silence after which a stream that began is given up",
        "call.flow"),
    Key("requests_per_minute", Whole(1, PER_MINUTE_MAX), "the provider's limit, kept before it refuses",
        "rules.allowances"),
    Key("tokens_per_minute", Whole(1, PER_MINUTE_MAX), "the provider's limit", "rules.allowances"),
    Key("requests_per_day", Whole(1, PER_DAY_MAX), "the provider's limit", "rules.allowances"),
    Key("tokens_per_day", Whole(1, PER_DAY_MAX), "the provider's limit; for more see limits with window: true",
        "rules.allowances"),
    Key("concurrent_requests", Whole(1, CONNECTIONS_MAX), "calls in flight at once, over all processes",
        "rules.allowances"),
    Key("max_retries", Whole(0, 20), "attempts after the first that a call may make", "rules.retries"),
    Key("retry_base_seconds", Seconds(0, DAY_SECONDS), "seconds before the first retry; twice as long before each next "
        "one. What the provider advises wins", "rules.retries"),
    Key("retry_cap_seconds", Seconds(0, DAY_SECONDS), "the longest such wait", "rules.retries"),
    Key("retry_jitter", Share(0), "the share of such a wait that chance may take off", "rules.retries"),
    Key("circuit_breaker_threshold", Whole(0, 10_000), "consecutive failures that open the breaker; 0: there is none",
        "rules.breaker"),
    Key("circuit_breaker_timeout", Seconds(0.001, DAY_SECONDS), "seconds, base of the time it stays open",
        "rules.breaker"),
    Key("circuit_breaker_failure_share", Share(0.01), "failures among the calls of a minute that open the breaker, "
        "once there are 20", "rules.breaker"),
    Key("slow_call_seconds", Seconds(0.001, DAY_SECONDS), "seconds from which on a call counts as slow",
        "rules.breaker"),
    Key("circuit_breaker_slow_share", Share(0.01), "slow calls among those of a minute that open the breaker",
        "rules.breaker"),
    Key("discount", Percent(), "off the list price", "catalog.prices"),
    Key("price", Choice(("free",)), "free: calls to this provider cost nothing", "catalog.prices"),
    Key("extra_headers", Headers(), "sent with every request", "edges.http"),
    Key("enable_fallbacks", Truth(), "let the provider serve fallback_models", "client"),
    Key("fallback_models", Texts(_MODEL), "models that OpenRouter may serve instead, in order", "client"),
    Key("provider_preferences", Preferences(), "OpenRouter's routing preferences, as it documents them",
        "catalog.targets"),
    Key("limit_route_price", Truth(), "ask OpenRouter for no host dearer than the list price", "catalog.targets"),
    Key("app_name", Text(), "in the User-Agent; how OpenRouter lists the application", "catalog.headers"),
    Key("app_url", Url(), "the application's address, for OpenRouter", "catalog.headers"),
    Key("app_categories", Texts(_CATEGORY), "what kind of application it is, for OpenRouter", "catalog.headers"),
    Key("organization", Text(), "OpenAI-Organization", "catalog.headers"),
    Key("project", Text(), "OpenAI-Project", "catalog.headers"),
    Key("openai_beta", _HEADER, "OpenAI-Beta", "catalog.headers"),
    Key("anthropic_beta", Texts(_BETA), "anthropic-beta; those of a call's own header are added", "catalog.headers"),
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
    Key("alert_at", Percents(1_000), "shares of the budget at which an alert is due, once a window each",
        "edges.alerting"),
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

CANDIDATES = Texts(Text("provider/model", r"[^\s/]+/\S+"))
ROUTE_KEYS = (
    Key("candidates", CANDIDATES, "models, in order of preference", "rules.routes"),
    Key("on_content", Choice(get_args(OnContent)), "whether the next is asked what one refused for its content",
        "rules.retries"),
    Key("after_first_token", Choice(get_args(AfterFirstToken)), "what follows a stream that breaks once its caller "
        "has seen some of it: the error; the next candidate goes on from there where it can, and else begins again; "
        "or it always begins again", "call.flow"),
)  # fmt: skip

RETENTION_KEYS = (
    Key("ledger", Days({"forever": None}), "how long the ledger keeps rows before they are folded", "cli.db",
        "ledger_days"),
    Key("prompts", Days({"never": 0, "forever": None}), "never: prompts are not stored", "edges.stores",
        "prompts_days"),
)  # fmt: skip
ALERT_KEYS = (
    Key("webhook", Credential(), "the http or https address that alerts are posted to", "edges.webhook"),
    Key("form", Choice(get_args(AlertForm)), "how they are written", "telemetry.alerts"),
)
GATEWAY_KEYS = (
    Key("host", Text("a host name or address", r"[A-Za-z0-9_.:\[\]-]+"), "the address to listen on", "gateway"),
    Key("port", Whole(0, 65_535), "the port to listen on", "gateway"),
    Key("workers", Whole(1, 64), "processes that serve, on one set of books", "cli.serve"),
    Key("stop_seconds", Seconds(0, 3_600), "how long calls under way may take to finish at a stop", "gateway.serving"),
    Key(
        "metrics",
        Choice(get_args(MetricsAccess)),
        "who may read /metrics: keys of the role view, or anybody",
        "gateway.metrics",
    ),
    Key(
        "store_replies",
        Truth(),
        "true: a call repeated under its Idempotency-Key gets the first one's reply",
        "gateway.replaying",
    ),
    Key("replay_hours", Whole(1, 720), "how long an Idempotency-Key is remembered", "gateway.replaying"),
)

QUEUE_KEYS = (
    Key("fair_by", _TAG, "whose values share what is waited for; none: a call's user, else its session, else its key",
        "rules.fairness"),
    Key("weights", Weights(WEIGHT_MAX), "shares of values that are more than one: {search: 3}", "rules.fairness"),
    Key("length", Whole(1, 1_000_000), "calls that may wait in this process, in all queues together", "edges.waiting"),
)  # fmt: skip

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
    "routes": "names of ours, each a list of provider/model in order of preference, or a mapping with candidates",
    "prices": "USD per million tokens or thousand pieces, by provider/model",
    "budgets": "limits on money, by name",
    "limits": "limits on requests, tokens and calls in flight, by name",
    "queue": "how calls wait for held money and for limits",
    "retention": "how long things are kept",
    "alerts": "where alerts go",
    "gateway": "where the gateway listens",
}

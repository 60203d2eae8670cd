"""The tables of docs/configuration.md, made from the table of keys that bursar.yaml is read by.

    python -m docs.keys    writes them anew; tests/docs/test_configuration.py fails while they are behind

Decides how a kind of value is described to people, and which keys are read and do nothing yet.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bursar.catalog.providers import COLUMNS
from bursar.config import columns, compounds, credentials, keys, kinds, preferences, several_keys
from bursar.config.keys import Key
from bursar.config.tree import Gateway, ProviderSettings, QueueSettings, Retention, Route, Settings

DOCUMENT = Path(__file__).parent / "configuration.md"
BEGIN, END = "<!-- keys: {} -->", "<!-- end of keys -->"

# Keys whose module stands, and which it does not act on yet. (A key whose module is missing does nothing anyway.)
IDLE = frozenset(
    {
        "prompts",
    }
)
# Values that no default of the tree says.
STATED: Mapping[str, str] = {
    "active": "none",
    "alert_at": "[those of alerts](alerts.md#where-they-go)",
    "form": "that of its host",
    "books": "`./bursar.db`",
    "rolling": "`false`",
    "window": "`false`",
    "missing": "`pool`",
    "row": "that of its name",
    "base_url": "the row's",
    "api_version": "none",
    "api_key": "the environment's",
    "candidates": "required",
    "on_abort": "`cancel` where the row says that it ends the bill and a record is kept, else `drain`",
    "slow_call_seconds": "never",
    "first_token_timeout": "`read_timeout`",
    "stall_timeout": "`read_timeout`",
}
# A provider's row of the catalog may have others.
OF_THE_ROW = frozenset({*COLUMNS, "max_connections", "max_keepalive", "keepalive_expiry", "read_timeout"})


def describe(kind: kinds.Kind) -> str:
    """A kind of value, in a few words."""
    match kind:
        case kinds.Truth():
            return "true or false"
        case kinds.Whole(low, high):
            return f"whole number, {low:,} to {high:,}"
        case kinds.Seconds(low, high):
            return f"seconds, {low:g} to {high:,.0f}"
        case kinds.Share(low):
            return f"share, {low:g} to 1, or percentage"
        case kinds.Usd():
            return "USD"
        case kinds.Percent():
            return "percentage, such as 12.5%"
        case kinds.Choice(words):
            return " or ".join(f"`{word}`" for word in words)
        case kinds.Text(what):
            return what
        case columns.ChoiceOrNone(words):
            return " or ".join(f"`{word}`" for word in (*words, columns.NONE))
        case columns.Choices(words):
            return "list of " + ", ".join(f"`{word}`" for word in words)
        case compounds.Texts(item):
            return f"list of: {item.what}"
        case compounds.Days(words):
            return "days, such as `400d`, `8w`, `1y`, or " + " or ".join(f"`{word}`" for word in words)
        case _:
            return OTHERS[type(kind)]


OTHERS: Mapping[type, str] = {
    compounds.Url: "http or https URL",
    compounds.Zone: "time zone, such as `Europe/Berlin`",
    compounds.Day: "date, such as `2026-01-01`",
    compounds.Percents: "list of percentages",
    compounds.Headers: "mapping of header to text",
    columns.RowName: "the name of a known provider",
    columns.Address: "http or https URL; `{model}` in it stands for the model's name",
    columns.Deployments: "mapping of name to model",
    preferences.Preferences: "[preferences](providers.md#openrouter)",
    compounds.Values: "mapping of dimension or tag to one value",
    compounds.Weights: "mapping of value to whole number",
    credentials.Credential: "[secret](#secrets)",
    several_keys.Keys: "list of [secrets](#secrets), [several keys](#several-keys)",
}


def acts(key: Key) -> str:
    """The module that acts on a key, or that none does yet."""
    if key.name in IDLE or not _stands(f"bursar.{key.acts_in}"):
        return "nothing yet"
    return f"`{key.acts_in}`"


def _stands(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def defaults_of(tree: type[Any]) -> Callable[[Key], str]:
    """The defaults that a dataclass of the tree has, by key."""
    fields = {field.name: field for field in dataclasses.fields(tree)}

    def default(key: Key) -> str:
        if key.name in STATED:
            return STATED[key.name]
        field = fields.get(key.attribute)
        if field is None or field.default is dataclasses.MISSING or field.default in (None, ()):
            return "`forever`" if key.attribute == "ledger_days" else "none"
        shown = f"`{key.kind.show(field.default)}`"
        return f"{shown}, or the row's" if key.name in OF_THE_ROW else shown

    return default


def required(*names: str) -> Callable[[Key], str]:
    """Sections of which nothing has a default but what is stated."""

    def default(key: Key) -> str:
        if key.name in names:
            return "required"
        return STATED.get(key.name, "`enforce`" if key.name == "mode" else "none")

    return default


SECTIONS: Mapping[str, tuple[Iterable[Key], Callable[[Key], str]]] = {
    "root": (keys.ROOT_KEYS, defaults_of(Settings)),
    "llm": (keys.LLM_KEYS, defaults_of(Settings)),
    "provider": (keys.PROVIDER_KEYS, defaults_of(ProviderSettings)),
    "budget": (keys.BUDGET_KEYS, required("usd", "per")),
    "limit": (keys.LIMIT_KEYS, required()),
    "route": (keys.ROUTE_KEYS, defaults_of(Route)),
    "queue": (keys.QUEUE_KEYS, defaults_of(QueueSettings)),
    "retention": (keys.RETENTION_KEYS, defaults_of(Retention)),
    "alerts": (keys.ALERT_KEYS, required()),
    "gateway": (keys.GATEWAY_KEYS, defaults_of(Gateway)),
}


def table(section: str) -> str:
    """One section as a table."""
    listed, default = SECTIONS[section]
    rows = ["| key | value | default | what it does | acts in |", "|---|---|---|---|---|"]
    rows += [f"| `{key.name}` | {describe(key.kind)} | {default(key)} | {key.help} | {acts(key)} |" for key in listed]
    return "\n".join(rows)


def renewed(text: str) -> str:
    """The document with its tables as they must be. Raises ValueError when one has no place in it."""
    for section in SECTIONS:
        begin = BEGIN.format(section)
        start = text.index(begin) + len(begin)
        end = text.index(END, start)
        text = f"{text[:start]}\n\n{table(section)}\n\n{text[end:]}"
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(renewed(DOCUMENT.read_text("utf-8")), "utf-8")

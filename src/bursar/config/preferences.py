"""OpenRouter's routing preferences, as `provider_preferences` has them.

Decides what each known preference can be, so that a slip is found in the file and not by a request that is routed
elsewhere. A preference that is not known passes as it is, since OpenRouter may have learned it meanwhile; `unknown`
names it, for a warning. Source: OpenRouter's SDK 1.3.84, ProviderPreferences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bursar.config.columns import Choices
from bursar.config.compounds import Anything, Texts, flow, mapped
from bursar.config.kinds import Choice, Kind, Surroundings, Text, Truth, number, refuse
from bursar.config.nearest import did_you_mean
from bursar.config.reading import Node, shown_text

_PROVIDERS = Texts(Text("the name of a provider, as in openrouter.ai/providers", r"[^\s,]+"))
_SORTS = ("price", "throughput", "latency", "exacto")
_QUANTIZATIONS = (
    "int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown",
)  # fmt: skip
_ANYTHING = Anything()
_PERCENTILES = ("p50", "p75", "p90", "p99")
# A thousand dollars a token, seconds or tokens a second: more is a misplaced decimal point.
_MOST = 10**9


@dataclass(frozen=True, slots=True)
class Amount:
    """A number above or at 0. as_text: kept as its digits, which is how OpenRouter takes prices exactly."""

    what: str
    as_text: bool = False

    def read(self, node: Node, around: Surroundings) -> str | float:
        value = number(node, around, self.what)
        if not 0 <= value <= _MOST:
            raise refuse(node, f"{self.what} from 0")
        return f"{value:f}" if self.as_text else float(value)

    def show(self, value: Any) -> str:
        return flow(float(value))

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": 0}


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping of some of a few names, each of its kind; `plain`, where a single value may stand for all of it."""

    fields: Mapping[str, Kind]
    what: str
    plain: Kind | None = None

    def read(self, node: Node, around: Surroundings) -> Any:
        if self.plain is not None and node.form != "mapping":
            return self.plain.read(node, around)
        read: dict[str, Any] = {}
        for name, given in mapped(node, self.what).items():
            if name not in self.fields:
                raise given.error(f"unknown key {shown_text(name)}; {did_you_mean(name, self.fields)}")
            read[name] = self.fields[name].read(given, around)
        return read

    def show(self, value: Any) -> str:
        return flow(value)

    def schema(self) -> dict[str, Any]:
        properties = {name: kind.schema() for name, kind in self.fields.items()}
        whole = {"type": "object", "additionalProperties": False, "properties": properties}
        return {"anyOf": [self.plain.schema(), whole]} if self.plain else whole


_PRICE = Amount("a price in USD", as_text=True)


def _thresholds(what: str) -> Fields:
    return Fields(dict.fromkeys(_PERCENTILES, Amount(what)), f"{what}, or one for each percentile", Amount(what))


@dataclass(frozen=True, slots=True)
class Options:
    """What single providers take beside all that, by their names."""

    def read(self, node: Node, around: Surroundings) -> dict[str, Any]:
        return {name: _ANYTHING.read(given, around) for name, given in mapped(node, "options by provider").items()}

    def show(self, value: Any) -> str:
        return flow(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "object"}


KNOWN: Mapping[str, Kind] = MappingProxyType(
    {
        "order": _PROVIDERS,
        "only": _PROVIDERS,
        "ignore": _PROVIDERS,
        "allow_fallbacks": Truth(),
        "require_parameters": Truth(),
        "data_collection": Choice(("allow", "deny")),
        "zdr": Truth(),
        "enforce_distillable_text": Truth(),
        "quantizations": Choices(_QUANTIZATIONS),
        "sort": Fields(
            {"by": Choice(_SORTS), "partition": Choice(("model", "none"))}, "by and partition", Choice(_SORTS)
        ),
        "max_price": Fields(
            dict.fromkeys(("prompt", "completion", "request", "image", "audio"), _PRICE),
            "prices, such as {prompt: 1, completion: 2} in USD per million tokens",
        ),
        "preferred_max_latency": _thresholds("a number of seconds"),
        "preferred_min_throughput": _thresholds("a number of tokens a second"),
        "options": Options(),
    }
)


@dataclass(frozen=True, slots=True)
class Preferences:
    """OpenRouter's `provider`, as it goes into the body."""

    def read(self, node: Node, around: Surroundings) -> Mapping[str, Any]:
        read: dict[str, Any] = {}
        for name, given in mapped(node, "routing preferences").items():
            if given.form == "nothing":
                read[name] = None  # OpenRouter reads null as what is not said
            else:
                read[name] = _sendable(KNOWN.get(name, _ANYTHING).read(given, around))
        return MappingProxyType(read)

    def show(self, value: Any) -> str:
        return flow(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "properties": {name: kind.schema() for name, kind in KNOWN.items()}}


def unknown(preferences: Mapping[str, Any]) -> dict[str, str]:
    """The preferences that are not known, each with a clause that says which ones are near."""
    return {name: did_you_mean(name, KNOWN) for name in preferences if name not in KNOWN}


def _sendable(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value

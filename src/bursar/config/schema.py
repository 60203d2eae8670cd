"""JSON schema of bursar.yaml, for editors: made from the table of keys, so that it cannot say anything else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bursar.config import keys
from bursar.config.keys import Key
from bursar.config.kinds import Usd
from bursar.config.prices import ABOVE, TIERS
from bursar.rules.tiers import KNOWN
from bursar.rules.usage import LEAVES

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema of the whole file, JSON Schema 2020-12."""
    providers = _by_name(_section(keys.PROVIDER_KEYS))
    llm = _section(keys.LLM_KEYS)
    llm["properties"]["providers"] = providers | {"description": "by name; a name of your own needs base_url"}
    candidates = {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^[^/ ]+/"}}
    route = _section(keys.ROUTE_KEYS) | {"type": "object", "required": ["candidates"]}
    route["properties"]["candidates"] |= candidates
    sections = {
        "llm": llm,
        "routes": _by_name({"anyOf": [candidates, route]}),
        "prices": _by_name(_prices()),
        "budgets": _by_name(_section(keys.BUDGET_KEYS) | {"required": ["usd", "per"]}),
        "limits": _by_name(_limits()),
        "queue": _section(keys.QUEUE_KEYS),
        "retention": _section(keys.RETENTION_KEYS),
        "alerts": _section(keys.ALERT_KEYS),
        "gateway": _section(keys.GATEWAY_KEYS),
    }
    root = _section(keys.ROOT_KEYS)
    for name, section in sections.items():
        root["properties"][name] = section | {"description": keys.ROOT_SECTIONS[name]}
    return {"$schema": _DIALECT, "title": "bursar.yaml", **root}


def _section(table: Iterable[Key]) -> dict[str, Any]:
    properties = {key.name: _value(key.kind.schema()) | {"description": key.help} for key in table}
    return {"type": ["object", "null"], "additionalProperties": False, "properties": properties}


def _value(kind: dict[str, Any]) -> dict[str, Any]:
    """Numbers and truths may also be named by a variable of the environment, or stand in quotes."""
    if kind.get("type") in ("number", "integer", "boolean") or "enum" in kind:
        return {"anyOf": [kind, {"type": "string", "pattern": r"\$\{|^[$0-9._]+$"}]}
    return kind


def _by_name(value: dict[str, Any]) -> dict[str, Any]:
    return {"type": ["object", "null"], "additionalProperties": value}


def _limits() -> dict[str, Any]:
    one = [{"required": [meter]} for meter in keys.LIMIT_METERS]
    return _section(keys.LIMIT_KEYS) | {"oneOf": one}


def _prices() -> dict[str, Any]:
    number = _value(Usd().schema())
    units: dict[str, Any] = dict.fromkeys(LEAVES, number)
    above = {"type": "object", "minProperties": 1, "additionalProperties": _one(units)}
    above |= {"description": "prices of the whole call once its input is longer than so many tokens"}
    tier = _one({**units, ABOVE: above})
    names = "|".join(KNOWN)
    tiers = {"type": "object", "minProperties": 1, "additionalProperties": False}
    tiers |= {"patternProperties": {rf"^({names})(\+({names}))*$": tier}, "description": "by tier of service"}
    first = {keys.FROM_KEY.name: keys.FROM_KEY.kind.schema() | {"description": keys.FROM_KEY.help}}
    one = _one({**units, **first, ABOVE: above, TIERS: tiers})
    card = {"anyOf": [{"enum": ["free"]}, one]}
    return {"anyOf": [*card["anyOf"], {"type": "array", "minItems": 1, "items": card}]}


def _one(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "minProperties": 1, "properties": properties}

"""Routes: names of the user's own for models, each with its candidates in order of preference.

Decides which forms a route has, a list of candidates or a mapping with `candidates` and how to go on from one to the
next, and whether their providers exist. Which candidate a call asks, `rules.routes` says.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from bursar.config import keys
from bursar.config.compounds import mapped
from bursar.config.kinds import quoted
from bursar.config.nearest import did_you_mean
from bursar.config.reading import Node, shown_text
from bursar.config.sections import Reading
from bursar.config.tree import Route

# A call that has failed so often will not be saved by one more.
CANDIDATES_MAX = 32
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}"


def read_routes(node: Node, reading: Reading, providers: Collection[str]) -> dict[str, Route]:
    """The routes by name. A candidate's provider must be one that is configured or that the catalog knows."""
    routes: dict[str, Route] = {}
    for name, given in mapped(node, "routes").items():
        if not re.fullmatch(_NAME, name):
            raise given.error("the name of a route has up to 64 letters, digits and - _ . :, and no slash")
        routes[name] = _route(given, reading, providers)
        reading.remember(given)
    return routes


def _route(node: Node, reading: Reading, providers: Collection[str]) -> Route:
    values: dict[str, Any] = {}
    listed = node
    if node.form == "mapping":
        values = reading.section(node, keys.ROUTE_KEYS, "a route")
        listed = node.entries.get("candidates", node)
    else:
        values["candidates"] = keys.CANDIDATES.read(node, reading.around)
    route = Route(**{"candidates": (), **values})
    if not route.candidates:
        raise listed.error("a route needs at least one provider/model")
    if len(route.candidates) > CANDIDATES_MAX:
        raise listed.error(f"a route has at most {CANDIDATES_MAX} candidates")
    for at, candidate in enumerate(route.candidates):
        provider = candidate.partition("/")[0]
        if provider not in providers:
            hint = did_you_mean(provider, sorted(providers), "providers")
            raise listed.items[at].error(f"there is no provider {shown_text(provider)}; {hint}")
        if candidate in route.candidates[:at]:
            raise listed.items[at].error(f"{shown_text(candidate)} stands in this route already")
    return route


def shown_route(route: Route) -> str:
    """A route as YAML: a list where that says it all, else a mapping."""
    candidates = f"[{', '.join(quoted(candidate) for candidate in route.candidates)}]"
    if route == Route(route.candidates):
        return candidates
    said = {key.name: key.kind.show(getattr(route, key.attribute)) for key in keys.ROUTE_KEYS}
    return "{" + ", ".join(f"{name}: {text}" for name, text in said.items()) + "}"

"""Reading one mapping of the file by its table of keys.

Decides what an unknown key says (the nearest valid name, or where the key belongs) and remembers where each value
comes from. A key without a value is an error: half a limit must not read as none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bursar.catalog.providers import known_rows
from bursar.config import keys
from bursar.config.compounds import mapped
from bursar.config.keys import Key
from bursar.config.kinds import Surroundings
from bursar.config.nearest import did_you_mean, nearest
from bursar.config.reading import Node, shown_text
from bursar.config.secrets import Secret
from bursar.config.tree import Place
from bursar.errors import ConfigError

# Where a key belongs that is valid, but elsewhere.
_HOMES: tuple[tuple[str, Iterable[str]], ...] = (
    ("at the top of the file", [*(key.name for key in keys.ROOT_KEYS), *keys.ROOT_SECTIONS]),
    ("under llm:", ["active", "providers"]),
    ("under a provider, llm.providers.NAME:", [key.name for key in keys.PROVIDER_KEYS]),
    ("under a budget, budgets.NAME:", [key.name for key in keys.BUDGET_KEYS]),
    ("under a limit, limits.NAME:", [key.name for key in keys.LIMIT_KEYS]),
    ("under queue:", [key.name for key in keys.QUEUE_KEYS]),
    ("under a route, routes.NAME:", [key.name for key in keys.ROUTE_KEYS]),
)


@dataclass(slots=True)
class Reading:
    """What one run of `load` knows while it reads: the surroundings, and where each value came from.

    name: how people call the source, "bursar.yaml" or "arguments".
    """

    around: Surroundings
    name: str = "arguments"
    places: dict[str, Place] = field(default_factory=dict)

    def section(self, node: Node, table: Iterable[Key], what: str) -> dict[str, Any]:
        """Read a mapping by its table; attribute -> value, only of keys that are given. Raises ConfigError."""
        by_name = {key.name: key for key in table}
        values: dict[str, Any] = {}
        for name, given in mapped(node, what).items():
            if name not in by_name:
                raise unknown_key(given, name, by_name)
            values[by_name[name].attribute] = self.value(given, by_name[name])
        return values

    def value(self, node: Node, key: Key) -> Any:
        """Read one value, and remember its place."""
        if node.form == "nothing":
            raise node.error("has no value; give it one, or take the key away")
        value = key.kind.read(node, self.around)
        self.remember(node)
        return value

    def remember(self, node: Node) -> None:
        """Remember where the value of this node stands."""
        origin = self.name if node.file else "argument"
        self.places[node.path] = Place(origin, node.file, node.line)


def unknown_key(node: Node, name: str, known: Iterable[str]) -> ConfigError:
    """The error of a key that its section does not have."""
    names = list(known)
    shown = shown_text(name)
    for home, homes in _HOMES:
        if name in homes and not nearest(name, names):
            return node.error(f"unknown key {shown}; it belongs {home}")
    if name in known_rows() and not nearest(name, names):
        return node.error(f"unknown key {shown}; it belongs under llm: providers:")
    return node.error(f"unknown key {shown}; {did_you_mean(name, names)}")


def secret_argument(value: object, key: str) -> Secret:
    """A secret that was passed as a keyword argument. Raises ConfigError, never repeating it."""
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{key}: expected the key as text", key=key)
    return Secret(value.strip())

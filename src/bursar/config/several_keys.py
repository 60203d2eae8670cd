"""Several keys of one provider, as `keys` lists them: each a secret, or {key: SECRET, weight: 2, name: ...}.

Decides the names that tell keys apart and how calls are shared among them; whose turn it is, `rules.rotation` says.
Whatever stands at such a key may be the secret, so no error repeats it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from bursar.config.compounds import listed
from bursar.config.credentials import Credential
from bursar.config.kinds import Surroundings, Text, Whole, quoted
from bursar.config.reading import Node
from bursar.config.secrets import references
from bursar.config.tree import ONE_KEY, ProviderKey

WEIGHT_MAX = 1_000
_EXPECTS = "expected a secret (${NAME}, file:PATH, ...) or {key: SECRET, weight: 2, name: spare}"
_SECRET = Credential()
_WEIGHT = Whole(1, WEIGHT_MAX)


@dataclass(frozen=True, slots=True)
class Keys:
    """A list of secrets, at least one, each with a name and a weight."""

    name: Text

    def read(self, node: Node, around: Surroundings) -> tuple[ProviderKey, ...]:
        if node.form != "list":
            raise node.error("expected a list of keys, each ${NAME} or {key: ${NAME}, weight: 2}")
        keys: list[ProviderKey] = []
        for item in listed(node, "keys"):
            key = self._one(item, around, len(keys) + 1)
            if key.name in {ONE_KEY, *(other.name for other in keys)}:
                raise item.error(f"another key of this provider is called {key.name}; say name: ...")
            if key.secret in [other.secret for other in keys]:
                raise item.error("this key stands in the list already; give it a weight instead")
            keys.append(key)
        if not keys:
            raise node.error("expected at least one key")
        return tuple(keys)

    def _one(self, node: Node, around: Surroundings, number: int) -> ProviderKey:
        fields = node.entries
        if "key" not in fields:
            if fields.keys() & {"weight", "name"}:
                raise node.error(_EXPECTS)
            return ProviderKey(self._named(node, number), _SECRET.read(node, around), path=node.path)
        if fields.keys() - {"key", "weight", "name"}:
            raise node.error(_EXPECTS)
        return ProviderKey(
            name=self.name.read(fields["name"], around) if "name" in fields else self._named(fields["key"], number),
            secret=_SECRET.read(fields["key"], around),
            weight=_WEIGHT.read(fields["weight"], around) if "weight" in fields else 1,
            path=node.path,
        )

    def _named(self, node: Node, number: int) -> str:
        """The variable that holds it, else its number in the list."""
        variable = (*references(node.text), "")[0]
        plain = node.text.strip() == f"${{{variable}}}" and re.fullmatch(self.name.pattern, variable)
        return variable if plain else f"key{number}"

    def show(self, value: Any) -> str:
        shown = []
        for key in value:
            weight = f", weight: {key.weight}" if key.weight != 1 else ""
            shown.append(f"{{name: {quoted(key.name)}, key: {_SECRET.show(key.secret)}{weight}}}")
        return f"[{', '.join(shown)}]"

    def schema(self) -> dict[str, Any]:
        secret = _SECRET.schema()
        weight = {"anyOf": [_WEIGHT.schema(), {"type": "string", "pattern": r"\$\{|^[0-9_]+$"}]}
        fields = {"key": secret, "weight": weight, "name": self.name.schema()}
        weighed = {"type": "object", "additionalProperties": False, "required": ["key"], "properties": fields}
        return {"type": "array", "minItems": 1, "items": {"anyOf": [secret, weighed]}}

"""The kinds of what a provider's row says and the file may say otherwise: which row, which formats, whose prices.

Decides what can stand there. What each column means stands at `catalog.providers.Provider`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bursar.catalog.providers import known_rows
from bursar.config.compounds import Url, listed, mapped
from bursar.config.kinds import Choice, Surroundings, Text, plain, quoted
from bursar.config.nearest import did_you_mean
from bursar.config.reading import Node, shown_text

# The row of a server that no row names.
CUSTOM = "openai_compatible"
# Stands for the model's name in an address.
MODEL = "{model}"
# How the file says that there is none of what a column names.
NONE = "none"


@dataclass(frozen=True, slots=True)
class RowName:
    """The name of a row of the catalog, or `openai_compatible`."""

    def read(self, node: Node, around: Surroundings) -> str:
        name = plain(node, around, "the name of a provider that Bursar knows")
        rows = [*known_rows(), CUSTOM]
        if name not in rows:
            raise node.error(f"there is no row {shown_text(name)!r}; {did_you_mean(name, rows, 'rows')}")
        return name

    def show(self, value: Any) -> str:
        return quoted(value)

    def schema(self) -> dict[str, Any]:
        return {"enum": [*known_rows(), CUSTOM]}


@dataclass(frozen=True, slots=True)
class Address:
    """A URL of an API; `{model}` in it stands for the model's name."""

    def read(self, node: Node, around: Surroundings) -> str:
        text = Url().read(node, around)
        if "{" in text.replace(MODEL, "") or "}" in text.replace(MODEL, ""):
            raise node.error(f"the one name in braces that a URL can hold here is {MODEL}")
        return text

    def show(self, value: Any) -> str:
        return Url().show(value)

    def schema(self) -> dict[str, Any]:
        return Url().schema()


@dataclass(frozen=True, slots=True)
class ChoiceOrNone:
    """One of a few words, or `none`, which is kept as ""."""

    words: tuple[str, ...]

    def read(self, node: Node, around: Surroundings) -> str:
        word = Choice((*self.words, NONE)).read(node, around)
        return "" if word == NONE else word

    def show(self, value: Any) -> str:
        return str(value or NONE)

    def schema(self) -> dict[str, Any]:
        return {"enum": [*self.words, NONE]}


@dataclass(frozen=True, slots=True)
class Choices:
    """A list of some of a few words, at least one."""

    words: tuple[str, ...]

    def read(self, node: Node, around: Surroundings) -> tuple[str, ...]:
        chosen = tuple(Choice(self.words).read(item, around) for item in listed(node, ", ".join(self.words)))
        if not chosen or len(set(chosen)) < len(chosen):
            raise node.error(f"expected one or more of {', '.join(self.words)}, each once")
        return chosen

    def show(self, value: Any) -> str:
        return f"[{', '.join(value)}]"

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "minItems": 1, "items": Choice(self.words).schema()}


@dataclass(frozen=True, slots=True)
class Deployments:
    """Names of a provider's deployments, each with the model that it serves."""

    model: Text

    def read(self, node: Node, around: Surroundings) -> Mapping[str, str]:
        named = mapped(node, "deployments, such as {my-gpt4o: gpt-4o}").items()
        return MappingProxyType({name: self.model.read(given, around) for name, given in named})

    def show(self, value: Any) -> str:
        return "{" + ", ".join(f"{quoted(name)}: {quoted(model)}" for name, model in value.items()) + "}"

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": self.model.schema()}

"""The kinds of values that bursar.yaml has: how each is read, what it must lie between, and how it is shown.

A kind turns a node into a value of the tree or raises ConfigError saying what was expected and what stands there. It
also writes the value back as YAML and describes itself as JSON schema, so that `config show` and `config schema` cannot
disagree with what is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from bursar.config.nearest import nearest, one_of
from bursar.config.reading import Node
from bursar.config.secrets import expand, references
from bursar.rules.money import NANO_PER_USD, nano_of, usd_of

_NUMBER = re.compile(r"[+-]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d{1,2})?", re.ASCII)
# As many digits as Decimal computes with: a longer number would be rounded on the way.
_NUMBER_CHARACTERS_MAX = 28
_BARE = re.compile(r"[A-Za-z/][A-Za-z0-9_./+-]*|https?://[A-Za-z0-9_.:/-]*[A-Za-z0-9_/-]")
# What YAML 1.1 reads as something other than text.
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
# No household of models spends a billion dollars in a window: above it a budget is a typing mistake.
USD_MAX = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What reading a value may look at: the environment, and the folder that relative paths start from."""

    environ: Mapping[str, str]
    folder: Path


class Kind(Protocol):
    """One kind of value."""

    def read(self, node: Node, around: Surroundings) -> Any:
        """The value of a node. Raises ConfigError."""

    def show(self, value: Any) -> str:
        """The value as YAML that reads back as the same."""

    def schema(self) -> dict[str, Any]:
        """The kind as JSON schema."""


def plain(node: Node, around: Surroundings, expects: str) -> str:
    """The text of a scalar with the environment's values put in. Raises ConfigError for anything else."""
    if node.form not in ("text", "number"):
        raise node.error(f"expected {expects}, got {node.shown()}")
    if node.form == "number" or "${" not in node.text:
        return node.text
    try:
        text, unset = expand(node.text, around.environ)
    except ValueError as error:
        raise node.error(str(error)) from None
    if unset:
        raise node.error(f"{', '.join(unset)} is not set in the environment")
    return text


def refuse(node: Node, expects: str) -> Exception:
    """The error of a value that is not what its key takes; what came from the environment is not repeated."""
    named = ", ".join(references(node.text)) if node.form == "text" else ""
    return node.error(f"expected {expects}, got {f'what {named} holds' if named else node.shown()}")


def number(node: Node, around: Surroundings, expects: str, unit: str = "") -> Decimal:
    """A decimal number, exactly as written."""
    text = plain(node, around, expects).strip().removeprefix(unit)
    if len(text) > _NUMBER_CHARACTERS_MAX or not _NUMBER.fullmatch(text):
        raise refuse(node, expects)
    return Decimal(text.replace("_", ""))


@dataclass(frozen=True, slots=True)
class Truth:
    """true or false."""

    def read(self, node: Node, around: Surroundings) -> bool:
        text = node.text if node.form == "truth" else plain(node, around, "true or false")
        known = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
        if text.lower() not in known:
            raise refuse(node, "true or false")
        return known[text.lower()]

    def show(self, value: Any) -> str:
        return "true" if value else "false"

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `low` to `high`."""

    low: int
    high: int
    unit: str = ""

    def read(self, node: Node, around: Surroundings) -> int:
        expects = f"a whole number from {self.low:,} to {self.high:,}" + (f" ({self.unit})" if self.unit else "")
        value = number(node, around, expects)
        if not self.low <= value <= self.high or value != int(value):
            raise refuse(node, expects)
        return int(value)

    def show(self, value: Any) -> str:
        return str(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Seconds:
    """A number of seconds from `low` to `high`."""

    low: float
    high: float

    def read(self, node: Node, around: Surroundings) -> float:
        expects = f"a number of seconds from {self.low:g} to {self.high:g}"
        value = float(number(node, around, expects))
        if not self.low <= value <= self.high:
            raise refuse(node, expects)
        return value

    def show(self, value: Any) -> str:
        return f"{value:.15g}"

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole: a number from `low` to 1, or a percentage."""

    low: float

    def read(self, node: Node, around: Surroundings) -> float:
        expects = f"a share from {self.low:g} to 1, such as 0.25 or 25%"
        text = plain(node, around, expects).strip()
        digits = text.removesuffix("%").strip()
        if len(digits) > _NUMBER_CHARACTERS_MAX or not _NUMBER.fullmatch(digits):
            raise refuse(node, expects)
        value = float(Decimal(digits.replace("_", "")) / (100 if text.endswith("%") else 1))
        if not self.low <= value <= 1:
            raise refuse(node, expects)
        return value

    def show(self, value: Any) -> str:
        return f"{value:.15g}"

    def schema(self) -> dict[str, Any]:
        percentage = {"type": "string", "pattern": r"\$\{|^\s*[0-9]*\.?[0-9]*\s*%?\s*$"}
        return {"anyOf": [{"type": "number", "minimum": self.low, "maximum": 1}, percentage]}


@dataclass(frozen=True, slots=True)
class Usd:
    """An amount of USD, kept as nano-USD."""

    high: int = USD_MAX

    def read(self, node: Node, around: Surroundings) -> int:
        expects = f"an amount of USD from 0 to {self.high:,}"
        value = number(node, around, expects, "$")
        if not 0 <= value <= self.high:
            raise refuse(node, expects)
        if value * NANO_PER_USD != int(value * NANO_PER_USD):
            raise refuse(node, f"{expects} in whole nano-USD (9 decimals)")
        return nano_of(value)

    def show(self, value: Any) -> str:
        return f"{usd_of(value):f}"

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": 0, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Percent:
    """A share such as 12.5%, kept as a Decimal of percent. A fraction needs its sign: 0.1 might be a tenth, or 0.1%."""

    high: int = 100

    def read(self, node: Node, around: Surroundings) -> Decimal:
        expects = f"a percentage from 0% to {self.high}%, such as 10%"
        text = plain(node, around, expects).strip()
        signed = text.endswith("%")
        digits = text.removesuffix("%").strip()
        if len(digits) > _NUMBER_CHARACTERS_MAX or not _NUMBER.fullmatch(digits):
            raise refuse(node, expects)
        value = Decimal(digits.replace("_", ""))
        if not 0 <= value <= self.high or (not signed and value != int(value)):
            raise refuse(node, expects)
        return value

    def show(self, value: Any) -> str:
        return f"{value.normalize():f}%"

    def schema(self) -> dict[str, Any]:
        pattern = r"^\s*[0-9][0-9_]*(\.[0-9]*)?\s*%?\s*$"
        whole = {"type": "integer", "minimum": 0, "maximum": self.high}
        return {"anyOf": [{"type": "string", "pattern": pattern}, whole]}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def read(self, node: Node, around: Surroundings) -> str:
        expects = one_of(self.words)
        text = plain(node, around, expects)
        if text not in self.words:
            near = nearest(text, self.words)
            raise refuse(node, f"{expects} (did you mean {near}?)" if near else expects)
        return text

    def show(self, value: Any) -> str:
        return str(value)

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.words)}


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; `pattern` is what it must match, `what` how that is called."""

    what: str = "text"
    pattern: str = ""
    high: int = 256

    def read(self, node: Node, around: Surroundings) -> str:
        if node.form == "number":
            raise node.error(f"expected {self.what}, got {node.shown()}; put it in quotes if it is meant as text")
        text = plain(node, around, self.what)
        if not text or len(text) > self.high or not text.isprintable() or not re.fullmatch(self.pattern or ".+", text):
            raise refuse(node, self.what)
        return text

    def show(self, value: Any) -> str:
        return quoted(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}


def quoted(text: str) -> str:
    """Text as YAML: bare where that can be read as nothing else, else in double quotes.

    >>> quoted("openai/gpt-4o"), quoted("50"), quoted("yes")
    ('openai/gpt-4o', '"50"', '"yes"')
    """
    if _BARE.fullmatch(text) and text.lower() not in _WORDS:
        return text
    plain_text = text.replace("${", "$${")
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in plain_text) + '"'

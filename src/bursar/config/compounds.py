"""The kinds that are more than a number or a word: addresses, durations, time zones, lists and maps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from bursar.config.kinds import Percent, Surroundings, Text, Whole, plain, quoted, refuse
from bursar.config.nearest import nearest
from bursar.config.reading import Node, shown_text
from bursar.config.secrets import SECRET_CHARACTERS_MAX

ITEMS_MAX = 1_000
_DAYS = {"d": 1, "w": 7, "y": 365}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
# The transport sets these itself; another value would cut the request short or send it elsewhere.
_FRAMING = {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}


@dataclass(frozen=True, slots=True)
class Url:
    """An http or https address without credentials, query or fragment; a slash at its end is dropped."""

    def read(self, node: Node, around: Surroundings) -> str:
        return self.check(node, plain(node, around, "a URL").strip())

    def check(self, node: Node, text: str) -> str:
        """The address, if it is one. Raises ConfigError; an address with a password is not repeated."""
        expects = "a URL such as https://api.example.com/v1"
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise refuse(node, expects) from None
        if parts.username is not None or parts.password is not None:
            raise node.error("a URL must not hold a user or password: they would end up in logs; use api_key")
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or len(text) > 2_048:
            raise refuse(node, expects)
        if parts.query or parts.fragment or not re.fullmatch(r"[!-~]+", text):
            raise node.error(f"{expects} has no query, no fragment and no spaces")
        return text.rstrip("/")

    def show(self, value: Any) -> str:
        return quoted(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^(https?://|.*\$\{)"}


@dataclass(frozen=True, slots=True)
class Days:
    """A duration in days (400d, 8w, 1y), or one of `words`, which stand for what they map to."""

    words: Mapping[str, int | None]

    def read(self, node: Node, around: Surroundings) -> int | None:
        expects = f"a duration in days such as 400d, or {' or '.join(self.words)}"
        text = plain(node, around, expects).strip()
        if text in self.words:
            return self.words[text]
        match = re.fullmatch(r"(\d{1,5})([dwy])", text, re.ASCII)
        if match is None or not int(match[1]):
            raise refuse(node, expects)
        return int(match[1]) * _DAYS[match[2]]

    def show(self, value: Any) -> str:
        return next((word for word, days in self.words.items() if days == value), f"{value}d")

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^([0-9]{{1,5}}[dwy]|{'|'.join(self.words)})$"}


@dataclass(frozen=True, slots=True)
class Zone:
    """The name of a time zone, such as Europe/Berlin."""

    def read(self, node: Node, around: Surroundings) -> str:
        from zoneinfo import ZoneInfo, available_timezones

        name = plain(node, around, "a time zone").strip()
        try:
            # A zone's name becomes a path: what is none (an absolute path, a folder, a NUL) is refused before.
            if re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*", name):
                return ZoneInfo(name).key
        except (OSError, ValueError, LookupError):
            pass
        last = {zone.rpartition("/")[2].lower(): zone for zone in sorted(available_timezones())}
        near = last.get(name.lower().replace(" ", "_"))
        near = near or nearest(name, available_timezones())
        hint = f"did you mean {near}?" if near else "names are like Europe/Berlin or America/New_York"
        raise node.error(f"there is no time zone called {shown_text(name)!r}; {hint}")

    def show(self, value: Any) -> str:
        return quoted(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "default": "UTC"}


@dataclass(frozen=True, slots=True)
class Day:
    """A date, 2026-01-01."""

    def read(self, node: Node, around: Surroundings) -> date:
        text = plain(node, around, "a date such as 2026-01-01").strip()
        try:
            if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
                return date.fromisoformat(text)
        except ValueError:
            pass
        raise refuse(node, "a date such as 2026-01-01")

    def show(self, value: Any) -> str:
        return str(value.isoformat())

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "date"}


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of texts of one kind."""

    item: Text

    def read(self, node: Node, around: Surroundings) -> tuple[str, ...]:
        return tuple(self.item.read(item, around) for item in listed(node, self.item.what))

    def show(self, value: Any) -> str:
        return f"[{', '.join(quoted(item) for item in value)}]"

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.item.schema()}


@dataclass(frozen=True, slots=True)
class Percents:
    """A list of whole percentages, ascending."""

    high: int

    def read(self, node: Node, around: Surroundings) -> tuple[int, ...]:
        shares: list[int] = []
        for item in listed(node, "percentages"):
            value: Decimal = Percent(self.high).read(item, around)
            if value != int(value) or not value:
                raise item.error(f"expected a whole percentage from 1% to {self.high}%, got {item.shown()}")
            shares.append(int(value))
        return tuple(sorted(set(shares)))

    def show(self, value: Any) -> str:
        return f"[{', '.join(f'{share}%' for share in value)}]"

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": Percent(self.high).schema()}


def listed(node: Node, what: str) -> tuple[Node, ...]:
    """The items of a list. Raises ConfigError when it is none, or too long."""
    if node.form != "list":
        raise node.error(f"expected a list of {what}, got {node.shown()}")
    if len(node.items) > ITEMS_MAX:
        raise node.error(f"a list here has at most {ITEMS_MAX:,} items")
    return node.items


@dataclass(frozen=True, slots=True)
class Headers:
    """HTTP headers. A value may hold a secret: it is neither shown nor repeated."""

    def read(self, node: Node, around: Surroundings) -> Mapping[str, str]:
        headers: dict[str, str] = {}
        for name, given in mapped(node, "headers").items():
            if not _TOKEN.fullmatch(name):
                raise given.error("this is not the name of a header")
            if name.lower() in _FRAMING or name.lower() in {known.lower() for known in headers}:
                raise given.error(f"the header {name} is set by the transport, or given twice")
            if given.form not in ("text", "number"):
                raise given.error("expected the text of a header")
            value = plain(given, around, "the text of a header").strip()
            if not value or len(value) > SECRET_CHARACTERS_MAX or not re.fullmatch(r"[ -~]+", value):
                raise given.error("a header's value is one line of plain characters")
            headers[name] = value
        return MappingProxyType(headers)

    def show(self, value: Any) -> str:
        return "{" + ", ".join(f"{quoted(name)}: hidden" for name in value) + "}"

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {"type": ["string", "number"]}}


@dataclass(frozen=True, slots=True)
class Anything:
    """A value that passes to the provider as it is: whatever JSON can say."""

    def read(self, node: Node, around: Surroundings) -> Any:
        if node.form == "mapping":
            return {name: self.read(given, around) for name, given in mapped(node, "a mapping").items()}
        if node.form == "list":
            return [self.read(item, around) for item in listed(node, "values")]
        if node.form in ("nothing", "truth"):
            return None if node.form == "nothing" else node.text.lower() in ("true", "yes", "on")
        if node.form == "number" and re.fullmatch(r"[+-]?\d{1,15}", node.text, re.ASCII):
            return int(node.text)
        if node.form == "number":
            if not re.fullmatch(r"[+-]?\d{1,15}\.\d{0,15}", node.text, re.ASCII):
                raise node.error(f"expected a plain number, got {node.shown()}")
            return float(node.text)
        return plain(node, around, "text")

    def show(self, value: Any) -> str:
        return flow(value)

    def schema(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, slots=True)
class Values:
    """A mapping of dimensions (or tags) to one value each, taken as it is written: 007 stays 007."""

    name: str

    def read(self, node: Node, around: Surroundings) -> tuple[tuple[str, str], ...]:
        pairs: list[tuple[str, str]] = []
        for name, given in mapped(node, "dimensions").items():
            if not re.fullmatch(self.name, name):
                raise given.error("this is not the name of a dimension or tag")
            text = given.text if given.form == "truth" else plain(given, around, "one value, as text")
            if not text or len(text) > 256 or not text.isprintable():
                raise refuse(given, "one value, as text")
            pairs.append((name, text))
        return tuple(sorted(pairs))

    def show(self, value: Any) -> str:
        return "{" + ", ".join(f"{quoted(name)}: {quoted(text)}" for name, text in value) + "}"

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}


@dataclass(frozen=True, slots=True)
class Weights:
    """A mapping of values to whole numbers from 1 to `high`; the values are taken as they are written."""

    high: int

    def read(self, node: Node, around: Surroundings) -> Mapping[str, int]:
        weights = {}
        for name, given in mapped(node, "weights").items():
            if not name or len(name) > 256 or not name.isprintable():
                raise node.error("a value has up to 256 printable characters")
            weights[name] = Whole(1, self.high).read(given, around)
        return MappingProxyType(weights)

    def show(self, value: Any) -> str:
        return "{" + ", ".join(f"{quoted(name)}: {weight}" for name, weight in value.items()) + "}"

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": Whole(1, self.high).schema()}


def flow(value: Any) -> str:
    """Plain values as YAML on one line.

    >>> flow({"sort": "price", "order": ["a", None], "max": 0.5})
    '{sort: price, order: [a, null], max: 0.5}'
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{quoted(name)}: {flow(given)}" for name, given in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    if isinstance(value, str):
        return quoted(value)
    # A float's own text may have an exponent, which is not what is read here as a number.
    return (
        {None: "null", True: "true", False: "false"}[value]
        if value is None or isinstance(value, bool)
        else (f"{value:.15f}".rstrip("0") + "0" * value.is_integer() if isinstance(value, float) else str(value))
    )


def mapped(node: Node, what: str) -> Mapping[str, Node]:
    """The entries of a mapping; a section of which everything is commented out is an empty one. Raises ConfigError."""
    if node.form not in ("mapping", "nothing"):
        raise node.error(f"expected {what} as a mapping, got {node.shown()}")
    if len(node.entries) > ITEMS_MAX:
        raise node.error(f"a mapping here has at most {ITEMS_MAX:,} entries")
    return node.entries

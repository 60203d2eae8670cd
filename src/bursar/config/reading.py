"""YAML text, or a Python mapping, as nodes that know their path and line, so that every error can say where.

Decides what is read at all: one document of mappings with text keys, lists and plain scalars. Refuses tags, duplicate
keys, and whatever is made to exhaust memory or the stack (aliases that multiply, deep nesting, size). Scalars stay as
written: what they mean is decided by the kind of their key, so that 0.10 USD never passes through a float.

Source: YAML 1.1 as PyYAML's safe resolver reads it; merge keys (`<<`) work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from bursar.errors import ConfigError

if TYPE_CHECKING:
    import yaml

# The largest real files have a few thousand lines; parsing a mebibyte takes seconds already.
FILE_BYTES_MAX = 2**20
# What a file may become once its aliases are followed.
NODES_MAX = 50_000
DEPTH_MAX = 24
# Every value keeps its path, so the names along it are bounded too.
KEY_CHARACTERS_MAX = 128

Form = Literal["mapping", "list", "text", "number", "truth", "nothing"]
_FORMS: Mapping[str, Form] = {
    "str": "text", "value": "text", "timestamp": "text", "int": "number", "float": "number", "bool": "truth",
    "null": "nothing", "map": "mapping", "seq": "list",
}  # fmt: skip
_YAML = "tag:yaml.org,2002:"
_CALLED = {
    "mapping": "a mapping", "list": "a list", "text": "the text", "number": "the number", "truth": "",
    "nothing": "nothing",
}  # fmt: skip
# Beyond any limit here, and still quick to write out.
_WHOLE_MAX = 10**30
# Begins like the keys of the usual providers: not repeated in an error, whatever key it stands under.
_KEY_LIKE = re.compile(r"\b((?:sk|pk|gsk|xai|hf|key|ghp|whsec|brs)[-_])\S+")


class Node:
    """A value with its place. text: a scalar as written; items, entries: what a list or mapping holds."""

    __slots__ = ("entries", "file", "form", "items", "line", "path", "text")

    def __init__(
        self, form: Form, path: str, file: str | None, line: int | None, text: str = "", items: tuple[Node, ...] = ()
    ) -> None:
        self.form = form
        self.path = path
        self.file = file
        self.line = line
        self.text = text
        self.items = items
        self.entries: dict[str, Node] = {}

    def error(self, problem: str) -> ConfigError:
        """The error that this value is at fault."""
        path = masked(self.path)
        return ConfigError(f"{path}: {problem}" if path else problem, file=self.file, line=self.line, key=path or None)

    def shown(self) -> str:
        """The value for an error message: short, and never what looks like a key."""
        if self.form in ("text", "number", "truth"):
            text = shown_text(self.text)
            return f"{_CALLED[self.form]} {text!r}" if self.form == "text" else f"{_CALLED[self.form]} {text}".strip()
        return _CALLED[self.form]


def shown_text(text: str) -> str:
    """A text from the file, fit for an error message: short, and never what looks like a key."""
    quiet = masked(text)
    return quiet if len(quiet) <= 60 else quiet[:40] + "..."


def masked(text: str) -> str:
    """The text without what looks like a key."""
    return _KEY_LIKE.sub(r"\1...", text)


def read_file(path: Path) -> Node:
    """Read a YAML file. Raises ConfigError with the line for anything that is not one mapping of plain values."""
    name = str(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise ConfigError("there is no such file", file=name) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or type(error).__name__}", file=name) from None
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigError(f"is larger than {FILE_BYTES_MAX // 1024} KiB: not a configuration", file=name)
    try:
        return read_yaml(raw.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError("is not UTF-8 text", file=name, line=line) from None


def read_yaml(text: str, file: str) -> Node:
    """Read YAML text. `file` is its name in errors."""
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        raise ConfigError("is nested too deeply", file=file) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(_syntax(error), file=file, line=mark.line + 1 if mark else None) from None
    except (yaml.YAMLError, ValueError, OverflowError, IndexError):
        raise ConfigError("is not YAML: it holds characters or escapes that YAML does not have", file=file) from None
    if root is None:
        raise ConfigError("is empty; `bursar config init` prints one to start from", file=file)
    node = _Composer(file).node(root, "", 0)
    if node.form != "mapping":
        raise node.error(f"expected keys with values such as `llm:`, got {node.shown()}")
    return node


def read_mapping(config: Mapping[str, Any]) -> Node:
    """Read a Python mapping of the shape that the YAML has. There are no lines; errors name the path."""
    return _Builder().node(config, "", 0)


def _syntax(error: yaml.MarkedYAMLError) -> str:
    """PyYAML's words, without the pieces of the file that they quote: those may hold a secret."""

    def quiet(words: str) -> str:
        # Single characters and the names of tokens ("<block end>") are the parser's own.
        return re.sub(r"'([^']*)'|\"([^\"]*)\"", lambda m: m[0] if len(m[0]) < 6 or m[0][1] == "<" else "...", words)

    context = f" ({quiet(error.context)})" if error.context else ""
    return f"is not YAML: {quiet(error.problem or 'it cannot be parsed')}{context}"


class _Growth:
    """Counts what a document becomes."""

    def __init__(self, file: str | None) -> None:
        self.file = file
        self.nodes = 0

    def grow(self, path: str, line: int | None, depth: int) -> None:
        self.nodes += 1
        if self.nodes > NODES_MAX:
            raise ConfigError(f"holds more than {NODES_MAX:,} values (do aliases multiply?)", file=self.file, line=line)
        if depth > DEPTH_MAX:
            # The path of something this deep helps nobody.
            raise ConfigError(f"is nested more than {DEPTH_MAX} deep", file=self.file, line=line)


class _Composer(_Growth):
    """Turns PyYAML's nodes into ours."""

    def node(self, given: yaml.Node, path: str, depth: int) -> Node:
        line = given.start_mark.line + 1
        self.grow(path, line, depth)
        form = self._form(given, path, line)
        if form == "mapping":
            mapping = Node(form, path, self.file, line)
            for key, value, key_line in self._pairs(given, path, depth):
                entry = self.node(value, f"{path}.{key}" if path else key, depth + 1)
                entry.line = key_line
                mapping.entries[key] = entry
            return mapping
        if form == "list":
            items = tuple(self.node(item, f"{path}[{at}]", depth + 1) for at, item in enumerate(given.value))
            return Node(form, path, self.file, line, items=items)
        return Node(form, path, self.file, line, text=given.value)

    def _form(self, given: yaml.Node, path: str, line: int) -> Form:
        import yaml

        tag = str(given.tag)
        form = _FORMS.get(tag.removeprefix(_YAML)) if tag.startswith(_YAML) else None
        if tag == _YAML + "merge":
            form = "text"
        whole = {"mapping": yaml.MappingNode, "list": yaml.SequenceNode}.get(form or "", yaml.ScalarNode)
        if form is None or not isinstance(given, whole):
            # The tag itself is not repeated unless it is one of YAML's: a key that begins with "!" reads as a tag.
            named = f" (!!{tag.removeprefix(_YAML)[:40]})" if tag.startswith(_YAML) else ""
            self._refuse(f"tags{named} are not read; put text that begins with ! in quotes", path, line)
        return form

    def _pairs(self, given: yaml.Node, path: str, depth: int) -> Iterator[tuple[str, yaml.Node, int]]:
        """The entries of a mapping, its own first, then those merged into it."""
        import yaml

        lines: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key_node, value in given.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._refuse("a key must be text", path, line)
            if key_node.tag == _YAML + "merge":
                merged.extend(value.value if isinstance(value, yaml.SequenceNode) else [value])
                continue
            key = key_node.value
            if len(key) > KEY_CHARACTERS_MAX:
                self._refuse(f"a key has at most {KEY_CHARACTERS_MAX} characters", path, line)
            if key in lines:
                self._refuse(f"{shown_text(key)} is given twice, first in line {lines[key]}", path, line)
            lines[key] = line
            yield key, value, line
        for source in merged:
            self.grow(path, source.start_mark.line + 1, depth)
            if not isinstance(source, yaml.MappingNode):
                self._refuse("<< merges a mapping or a list of them", path, source.start_mark.line + 1)
            for key, value, line in self._pairs(source, path, depth + 1):
                if key not in lines:
                    lines[key] = line
                    yield key, value, line

    def _refuse(self, problem: str, path: str, line: int) -> NoReturn:
        raise Node("text", path, self.file, line).error(problem)


class _Builder(_Growth):
    """Turns Python values into nodes."""

    def __init__(self) -> None:
        super().__init__(None)

    def node(self, given: object, path: str, depth: int) -> Node:
        self.grow(path, None, depth)
        if isinstance(given, Mapping):
            mapping = Node("mapping", path, None, None)
            for key, value in given.items():
                if not isinstance(key, str) or len(key) > KEY_CHARACTERS_MAX:
                    problem = f"a key must be text of at most {KEY_CHARACTERS_MAX} characters"
                    raise ConfigError(f"{path}: {problem}" if path else problem, key=path or None)
                mapping.entries[key] = self.node(value, f"{path}.{key}" if path else key, depth + 1)
            return mapping
        if isinstance(given, list | tuple):
            items = tuple(self.node(item, f"{path}[{at}]", depth + 1) for at, item in enumerate(given))
            return Node("list", path, None, None, items=items)
        form, text = _scalar(given)
        if form is None:
            raise ConfigError(f"{path}: a {type(given).__name__} is not a value that YAML has", key=path or None)
        return Node(form, path, None, None, text=text)


def _scalar(given: object) -> tuple[Form | None, str]:
    if given is None:
        return "nothing", ""
    if isinstance(given, bool):
        return "truth", "true" if given else "false"
    if isinstance(given, int) and abs(given) > _WHOLE_MAX:
        return "number", "a number that is too large"
    if isinstance(given, int | float | Decimal):
        return "number", str(given)
    if isinstance(given, str | Path):
        return "text", str(given)
    if isinstance(given, date):
        return "text", given.isoformat()
    return None, ""

"""How a secret is named in the file: a variable, a file, a command, or (not advised) the value itself.

Decides what the reference says and fetches nothing but variables. Whatever stands at such a key may be the secret, so
no error repeats it.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bursar.config.kinds import Surroundings, Text, quoted
from bursar.config.reading import Node
from bursar.config.secrets import SECRET_CHARACTERS_MAX, Secret, expand, references

# What is shown in place of a value that is given in the file, or of a command.
HIDDEN = "hidden"
_EXPECTS = "expected a secret: ${NAME}, file:PATH, {file: PATH} or {command: [...]}"


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret: `${NAME}`, `file:PATH`, {file: PATH}, {command: [...]}, or (not advised) the value itself."""

    def read(self, node: Node, around: Surroundings) -> Secret:
        place = (node.file, node.line)
        if node.form == "mapping":
            return self._fetched(node, around, place)
        if node.form not in ("text", "number") or not node.text.strip() or len(node.text) > SECRET_CHARACTERS_MAX:
            raise node.error(_EXPECTS)
        text = node.text.strip()
        if text.startswith("file:"):
            return self._file(node, text.removeprefix("file:").removeprefix("//"), around, place)
        try:
            value, unset = expand(text, around.environ)
        except ValueError as error:
            raise node.error(str(error)) from None
        names = references(text)
        reference = f"${{{names[0]}}}" if names else ""
        if names and text != reference:
            reference = f"a text with {reference}"
        return Secret(None if unset else value.strip() or None, reference=reference, place=place)

    def _fetched(self, node: Node, around: Surroundings, place: tuple[str | None, int | None]) -> Secret:
        if len(node.entries) != 1 or next(iter(node.entries)) not in ("file", "command"):
            raise node.error(_EXPECTS)
        way, given = next(iter(node.entries.items()))
        if way == "file":
            return self._file(given, Text("a path", high=4_096).read(given, around), around, place)
        try:
            words = [item.text for item in given.items] if given.form == "list" else shlex.split(given.text)
        except ValueError:
            raise given.error("the command's quotes do not match") from None
        if not words or not all(words[:1]) or any("\0" in word for word in words) or given.form == "mapping":
            raise given.error("expected a command such as [op, read, op://vault/openai/key]")
        return Secret(reference=f"the command {words[0]}", command=tuple(words), place=place)

    def _file(self, node: Node, text: str, around: Surroundings, place: tuple[str | None, int | None]) -> Secret:
        if not text or "\0" in text:
            raise node.error("expected a path")
        home = around.environ.get("HOME")
        path = Path(home, text[2:]) if text.startswith("~/") and home else around.folder / text
        return Secret(reference=f"file:{path}", file=path, place=place)

    def show(self, value: Any) -> str:
        if value.reference.startswith("${"):
            return f'"{value.reference}"'
        return quoted(value.reference) if value.reference.startswith("file:") else HIDDEN

    def schema(self) -> dict[str, Any]:
        command = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
        one = {"type": "object", "additionalProperties": False, "minProperties": 1, "maxProperties": 1}
        return {"anyOf": [{"type": "string"}, one | {"properties": {"file": {"type": "string"}, "command": command}}]}

"""What is served where, and which role it needs: a table of paths, some with variables.

Decides nothing by prefix or by default: a path that is not in the table does not exist, and what is in it says who may
ask. Paths are compared as they came; `//`, `..` and letters of another case lead nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from bursar.gateway.problems import Problem

if TYPE_CHECKING:
    from bursar.gateway.app import Gateway
    from bursar.gateway.exchange import Incoming
    from bursar.rules.keys import Role

Handler = Callable[["Gateway", "Incoming"], Awaitable[None]]

_VARIABLE = re.compile(r"\{(\w+)(:path)?\}")


class Entry(NamedTuple):
    """What answers at a path for a method. role: the least that the caller's key must have; None: no key at all."""

    handler: Handler
    role: Role | None


class Table:
    """Handlers by path and method. A template such as "/api/keys/{name}" has its parts filled in, in order."""

    def __init__(self, served: Mapping[tuple[str, str], Entry]) -> None:
        self._plain: dict[str, dict[str, Entry]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Entry]]] = []
        self.paths = tuple(dict.fromkeys(path for _, path in served))
        for path in self.paths:
            entries = {method: entry for (method, at), entry in served.items() if at == path}
            if "{" in path:
                self._patterns.append((_compiled(path), entries))
            else:
                self._plain[path] = entries

    def find(self, incoming: Incoming) -> Entry:
        """What answers a request. Raises Problem 404 naming what is served, and 405 naming the methods."""
        entries = self._plain.get(incoming.path) or self._matched(incoming)
        entry = entries.get(incoming.method)
        if entry is None:
            allowed = ", ".join(sorted(entries))
            raise Problem(
                405, "method_not_allowed", f"this path takes {allowed}", ((b"allow", allowed.encode("ascii")),)
            )
        return entry

    def _matched(self, incoming: Incoming) -> dict[str, Entry]:
        for pattern, entries in self._patterns:
            matched = pattern.fullmatch(incoming.path)
            if matched is not None:
                incoming.parts = matched.groups()
                return entries
        calls = ", ".join(path for path in self.paths if path.startswith("/v1/") and "{" not in path)
        raise Problem(404, "not_found", f"nothing is served at this path; calls go to {calls}")


def _compiled(template: str) -> re.Pattern[str]:
    """A template as a pattern; `{id:path}` takes slashes too."""
    pattern, at = "", 0
    for variable in _VARIABLE.finditer(template):
        pattern += re.escape(template[at : variable.start()]) + ("(.+)" if variable[2] else "([^/]+)")
        at = variable.end()
    return re.compile(pattern + re.escape(template[at:]))

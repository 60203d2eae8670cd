"""What a request asks to be run at the provider's side beyond the model itself, by name.

Decides which names are shown for tools and plugins that no bound covers: searches are billed by the piece, and what
they find is read as input. Which tools run at the caller's side is each dialect's to know.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from bursar.wire import asked
from bursar.wire.body import Fields
from bursar.wire.lenient import as_dict

__all__ = ["named_fields", "plugins", "server_tools"]

NAME_CHARACTERS_MAX = 64


def server_tools(tools: Iterable[object], callers: Collection[str]) -> Iterator[str]:
    """Names of the tools whose type is not among `callers`, which run at the caller's side.

    >>> list(server_tools([{"type": "function"}, {"type": "web_search"}, {}, 7], {"function"}))
    ['tool web_search']
    """
    for tool in tools:
        kind = as_dict(tool).get("type") or "function"  # Mistral's clients leave the type away
        if not isinstance(kind, str):
            yield "tool"
        elif kind not in callers:
            yield f"tool {kind[:NAME_CHARACTERS_MAX]}"


def plugins(fields: Fields) -> Iterator[str]:
    """Names of OpenRouter's plugins."""
    for plugin in asked.listed(fields, "plugins"):
        kind = as_dict(plugin).get("id")
        yield f"plugin {kind[:NAME_CHARACTERS_MAX]}" if isinstance(kind, str) else "plugin"


def named_fields(fields: Fields, names: Iterable[str]) -> Iterator[str]:
    """Those of these top-level fields that the caller set."""
    return (name for name in names if asked.present(fields, name))

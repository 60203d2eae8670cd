"""What a request asks to be run at the provider's side beyond the model itself, by name.

Decides which names are shown for tools and plugins that no bound covers: searches are billed by the piece, and what
they find is read as input. Which tools run at the caller's side is each dialect's to know. Also which further models a
body has at work, and what leaves their choice to the provider. Source: OpenAI's tool `image_generation`, Anthropic's
advisor tool and `fallbacks`, OpenRouter's `preset` and `plugins`, November 2026.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from bursar.wire import asked
from bursar.wire.body import Fields
from bursar.wire.lenient import as_dict, opens_with

__all__ = ["leaves_open", "models_of_tools", "named_fields", "plugins", "server_tools"]

NAME_CHARACTERS_MAX = 64
# Where tools and plugins name models of their own.
_MODEL = "model"
_MODELS = ("models", "allowed_models", "analysis_models")


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


def models_of_tools(fields: Fields) -> Iterator[str]:
    """The models that tools and plugins are to work with, as the caller names them.

    >>> from bursar.wire.body import fields_of
    >>> list(models_of_tools(fields_of(b'{"tools":[{"type":"image_generation","model":"gpt-image-1"}]}')))
    ['gpt-image-1']
    """
    for tool in (*asked.listed(fields, "tools"), *asked.listed(fields, "plugins")):
        given = as_dict(tool)
        for place in (given, as_dict(given.get("parameters"))):
            several = [one for name in _MODELS if isinstance(one := place.get(name), list)]
            for model in (place.get(_MODEL), *(each for one in several for each in one)):
                if isinstance(model, str) and model:
                    yield model


def leaves_open(fields: Fields, listed: Collection[str]) -> Iterator[str]:
    """Fields by which the provider may answer with a model that the body does not name.

    listed: those whose models the dialect has read where they are lists.
    """
    for name in ("preset", "fallbacks"):
        if asked.present(fields, name) and not (name in listed and opens_with(fields[name], b"[")):
            yield name

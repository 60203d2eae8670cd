"""What models can do, by name: output maximum, context window, whether they reason, search, or continue a beginning.

Decides the range of an elastic output claim and the bound of what a body only refers to. Never says what a model costs.
A model that nothing is known of gets 4,096 output tokens, since a provider refuses a limit above its own, and the
largest context window on offer, since a bound must hold. Source: the makers' model pages, November 2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import translate
from functools import cache, lru_cache
from re import Pattern
from typing import Any, NamedTuple

from bursar.wire.dialect import CONTEXT_TOKENS_MAX

__all__ = [
    "Reach", "context_window", "is_reasoning", "known_context", "maker_name", "output_max", "prefills", "reach",
    "server_tools",
]  # fmt: skip

NAMES_REMEMBERED_MAX = 4_096
REACHES_MAX = 1_024


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of a model; see models.toml."""

    output_tokens_max: int
    context_tokens: int
    reasoning: bool = False
    searches: bool = False
    prefills: bool = True


def output_max(provider: str, model: str) -> int:
    """The most tokens that a model writes in one reply, by the name that the provider gives it; 0 for embeddings.

    >>> output_max("openai", "gpt-4o-mini-2024-07-18"), output_max("gpu", "mine")
    (16384, 4096)
    """
    return _facts(maker_name(model)).output_tokens_max


def context_window(provider: str, model: str) -> int:
    """The most tokens that a model reads, or more; never less."""
    return _facts(maker_name(model)).context_tokens


def known_context(model: str) -> int:
    """The context window of a model, in tokens; 0 where it is not known.

    >>> known_context("gpt-4o"), known_context("mine")
    (128000, 0)
    """
    tokens = _facts(maker_name(model)).context_tokens
    return 0 if tokens == CONTEXT_TOKENS_MAX else tokens


def is_reasoning(provider: str, model: str) -> bool:
    """Whether a model spends output tokens before the first visible word.

    >>> is_reasoning("openrouter", "openai/gpt-5-mini:nitro"), is_reasoning("openai", "gpt-4o")
    (True, False)
    """
    return _facts(maker_name(model)).reasoning


def prefills(model: str) -> bool:
    """Whether a model goes on from the beginning of an answer, where its provider takes one.

    >>> prefills("anthropic/claude-haiku-4-5"), prefills("claude-opus-4-6"), prefills("o3"), prefills("mine")
    (True, False, False, True)
    """
    return _facts(maker_name(model)).prefills


@lru_cache(NAMES_REMEMBERED_MAX)
def server_tools(provider: str, model: str) -> tuple[str, ...]:
    """What a model runs at the provider's side without being asked, which no bound covers: searches, agents.

    >>> server_tools("openrouter", "openai/gpt-4o:online"), server_tools("openai", "gpt-4o")
    (('model openai/gpt-4o:online',), ())
    """
    searches = _facts(maker_name(model)).searches or model.endswith(":online")
    return (f"model {model}",) if searches else ()


class Reach(NamedTuple):
    """What models that one call can reach can do together: the least output, the largest context, what they search."""

    output_max: int
    context_window: int
    reasoning: bool
    server_tools: tuple[str, ...]


@lru_cache(maxsize=REACHES_MAX)
def reach(provider: str, names: tuple[str, ...]) -> Reach:
    """The facts that hold for whichever of these models serves a call.

    >>> reach("openrouter", ("openai/gpt-4o", "openai/gpt-3.5-turbo")).output_max
    4096
    """
    return Reach(
        min(output_max(provider, name) for name in names),
        max(context_window(provider, name) for name in names),
        any(is_reasoning(provider, name) for name in names),
        tuple(tool for name in names for tool in server_tools(provider, name)),
    )


def maker_name(model: str) -> str:
    """The model's name as its maker has it: no maker, no variant, no mark of a fine-tune, lower case.

    >>> maker_name("openai/gpt-4o:extended"), maker_name("ft:gpt-4o-mini:us::id"), maker_name("llama3.2:3b")
    ('gpt-4o', 'gpt-4o-mini', 'llama3.2')
    """
    return model.rpartition("/")[2].lower().removeprefix("ft:").partition(":")[0]


@cache
def _patterns() -> tuple[tuple[Pattern[str], _Facts], ...]:
    """Every pattern with its facts, in order, the default last."""
    import re
    import tomllib
    from importlib.resources import files

    catalog = tomllib.loads(files("bursar.catalog").joinpath("models.toml").read_text("utf-8"))
    rows = [
        (re.compile("|".join(translate(pattern) for pattern in entry["match"])), _read(entry))
        for entry in catalog["model"]
    ]
    return (*rows, (re.compile(""), _read(catalog["default"])))


@lru_cache(NAMES_REMEMBERED_MAX)
def _facts(name: str) -> _Facts:
    return next(facts for pattern, facts in _patterns() if pattern.match(name))


def _read(entry: dict[str, Any]) -> _Facts:
    return _Facts(
        entry["output"],
        entry.get("context", CONTEXT_TOKENS_MAX),
        entry.get("reasoning", False),
        entry.get("searches", False),
        entry.get("prefills", not entry.get("reasoning", False)),
    )

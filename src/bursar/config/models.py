"""What a model's name means: provider/model, a route of ours, or a bare name.

A name with a slash begins with one of our providers, always. A bare name is a route, else a model of the active
provider, else of whoever makes models so called, else of the only provider there is.
"""

from __future__ import annotations

import re

from bursar.catalog.providers import known_rows
from bursar.config.nearest import did_you_mean
from bursar.config.providers import known_names
from bursar.config.reading import shown_text
from bursar.config.tree import Settings, missing_address, missing_key
from bursar.errors import ConfigError

# Whose models are called so: (pattern, our provider, how OpenRouter calls the maker).
_MAKERS = (
    (re.compile(r"(gpt-|chatgpt-|o[1-9](-|$)|text-embedding-|codex-|davinci|babbage)"), "openai", "openai"),
    (re.compile(r"claude"), "anthropic", "anthropic"),
    (re.compile(r"gemini|gemma"), "gemini", "google"),
    (re.compile(r"(mi|mag|dev|code)stral|ministral|pixtral|mixtral"), "mistral", "mistralai"),
    (re.compile(r"deepseek"), "deepseek", "deepseek"),
    (re.compile(r"grok"), "xai", "x-ai"),
)


def candidates(settings: Settings, model: str | None = None) -> tuple[tuple[str, str], ...]:
    """What a model's name stands for, as (provider, model) in order of preference; at least one.

    None is the default model. Raises ConfigError for a name that stands for nothing, saying what to add.
    """
    if model is None:
        return (_default(settings),)
    if model in settings.routes:
        return tuple(_named(settings, candidate) for candidate in settings.routes[model].candidates)
    return (_named(settings, model) if "/" in model else _bare(settings, model),)


def resolve_model(settings: Settings, model: str | None = None) -> tuple[str, str]:
    """The provider and its own name of a model; of a route, its first candidate. Raises ConfigError.

    >>> from bursar.config.loading import load
    >>> resolve_model(load({}, environ={"OPENROUTER_API_KEY": "k"}), "claude-haiku")
    ('openrouter', 'anthropic/claude-haiku')
    """
    return candidates(settings, model)[0]


def _named(settings: Settings, name: str) -> tuple[str, str]:
    provider, _, model = name.partition("/")
    if not model or not provider:
        problem = f"a model is provider/model, such as openai/gpt-4o-mini, not {shown_text(name)!r}"
        raise ConfigError(problem, key="model")
    if provider in settings.providers:
        return provider, model
    row = known_rows().get(provider)
    through = ""
    if "openrouter" in settings.providers:
        maker = next((maker for _, one, maker in _MAKERS if one == provider), provider)
        through = f"; through OpenRouter it is openrouter/{shown_text(f'{maker}/{model}')}"
    if row is not None and not row.base_url:
        raise missing_address(provider, row.base_url_variable)
    if row is not None:
        raise missing_key(provider, row.key_variable, through)
    advice = f"for a server of your own add llm.providers.{shown_text(provider)}: {{base_url: ...}} to bursar.yaml"
    hint = did_you_mean(provider, sorted(known_names(settings.providers)), "known ones")
    raise ConfigError(f"there is no provider {shown_text(provider)!r}{through}; {advice}; {hint}", key="llm.providers")


def _bare(settings: Settings, name: str) -> tuple[str, str]:
    if not name or len(name) > 256 or not name.isprintable() or " " in name:
        raise ConfigError("the name of a model is a word such as openai/gpt-4o-mini", key="model")
    if settings.active:
        return settings.active, name
    for pattern, provider, maker in _MAKERS:
        if pattern.match(name):
            if provider in settings.providers:
                return provider, name
            if "openrouter" in settings.providers:
                return "openrouter", f"{maker}/{name}"
    only = _only(settings)
    if only:
        return only, name
    wanted = next((provider for pattern, provider, _ in _MAKERS if pattern.match(name)), "")
    row = known_rows().get(wanted)
    if row is not None and row.needs_key:
        raise missing_key(wanted, row.key_variable)
    routes = did_you_mean(name, settings.routes, "routes") if settings.routes else "there are no routes"
    problem = f"{shown_text(name)!r} names no route ({routes}) and llm.active names no provider for it"
    raise ConfigError(f"{problem}; say provider/model, as in openai/gpt-4o-mini", key="llm.active")


def _default(settings: Settings) -> tuple[str, str]:
    provider = settings.active or _only(settings)
    if not provider:
        with_model = [name for name, given in settings.providers.items() if given.model]
        provider = with_model[0] if len(with_model) == 1 else None
    if provider is None:
        raise ConfigError("no model was named, and llm.active names no provider; say model=\"openai/gpt-4o-mini\"",
                          key="llm.active")  # fmt: skip
    model = settings.providers[provider].model
    if model is None:
        path = f"llm.providers.{provider}.model"
        raise ConfigError(f"no model was named, and {provider} has no default; name one, or set {path}", key=path)
    return provider, model


def _only(settings: Settings) -> str | None:
    """The one provider that bare names can mean: the only one named in the file, else the only one with a key."""
    named = [name for name, given in settings.providers.items() if given.in_file]
    keyed = [name for name, given in settings.providers.items() if given.every_key]
    pool = named or keyed
    return pool[0] if len(pool) == 1 else None

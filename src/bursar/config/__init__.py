"""bursar.yaml, the environment and keyword arguments, made into one frozen tree of settings.

    load(...) -> Settings            loading: what is looked at, and what wins
    resolve_model(settings, name)    models: what a model's name stands for
    contradictions(settings)         checks: keys that cannot all be meant
    show(settings)                   showing: the effective tree as YAML, secrets hidden
    schema(), init_text()            for editors, and to start from

Every key, what it takes and the module that acts on it stand in `keys`. Nothing here opens the books or a connection.
"""

from __future__ import annotations

from bursar.config.checks import contradictions
from bursar.config.findings import Finding
from bursar.config.loading import load
from bursar.config.models import candidates, resolve_model
from bursar.config.prices import price_book
from bursar.config.schema import schema
from bursar.config.secrets import Secret
from bursar.config.showing import show
from bursar.config.starter import init_text
from bursar.config.tree import (
    Alerts,
    Gateway,
    Place,
    PriceOverride,
    ProviderKey,
    ProviderSettings,
    QueueSettings,
    Retention,
    Route,
    Settings,
)

__all__ = [
    "Alerts",
    "Finding",
    "Gateway",
    "Place",
    "PriceOverride",
    "ProviderKey",
    "ProviderSettings",
    "QueueSettings",
    "Retention",
    "Route",
    "Secret",
    "Settings",
    "candidates",
    "contradictions",
    "init_text",
    "load",
    "price_book",
    "resolve_model",
    "schema",
    "show",
]

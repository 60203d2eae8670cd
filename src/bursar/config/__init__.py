"""bursar.yaml, the environment and keyword arguments, made into one frozen tree of settings.

    load(...) -> Settings            loading: what is looked at, and what wins
    resolve_model(settings, name)    models: what a model's name stands for
    contradictions(settings)         checks: keys that cannot all be meant

Every key, what it takes and the module that acts on it stand in `keys`. Nothing here opens the books or a connection.
"""

from __future__ import annotations

from bursar.config.checks import Finding, contradictions
from bursar.config.loading import load
from bursar.config.models import candidates, resolve_model
from bursar.config.secrets import Secret
from bursar.config.tree import Alerts, Gateway, Place, PriceOverride, ProviderSettings, Retention, Settings

__all__ = [
    "Alerts",
    "Finding",
    "Gateway",
    "Place",
    "PriceOverride",
    "ProviderSettings",
    "Retention",
    "Secret",
    "Settings",
    "candidates",
    "contradictions",
    "load",
    "resolve_model",
]

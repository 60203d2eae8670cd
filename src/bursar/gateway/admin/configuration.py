"""The configuration in force, without its secrets, and reading it again."""

from __future__ import annotations

from typing import Any

import yaml
from msgspec import Struct

from bursar.config.showing import show
from bursar.errors import BursarError
from bursar.gateway.admin.endpoint import Ask, Endpoint, conflict
from bursar.gateway.admin.shapes import Instant, instant
from bursar.gateway.reloading import reload_all


class ConfigShown(Struct, frozen=True):
    """What file and environment come to, defaults included. file: null where there is none. Secrets are left out."""

    file: str | None
    config: dict[str, Any]


class Reloaded(Struct, frozen=True):
    """The configuration was read again, and holds for every request from now on."""

    file: str | None
    at: Instant


def show_config(ask: Ask) -> ConfigShown:
    """The configuration in force."""
    return ConfigShown(ask.settings.file, plain(yaml.safe_load(show(ask.settings))))


def plain(value: Any) -> Any:
    """What YAML reads, as JSON has it: dates become texts.

    >>> from datetime import date
    >>> plain({1: [date(2026, 11, 1), None]})
    {'1': ['2026-11-01', None]}
    """
    if isinstance(value, dict):
        return {str(name): plain(held) for name, held in value.items()}
    if isinstance(value, list):
        return [plain(held) for held in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


async def reload(ask: Ask) -> Reloaded:
    """Read the configuration again. What is wrong with it is said, and nothing has changed then."""
    try:
        await reload_all(ask.gateway)
    except BursarError as error:
        raise conflict(f"nothing has changed: {error.message}", "config_invalid") from None
    settings = ask.gateway.state.settings
    return Reloaded(settings.file, instant(ask.now_ms))


ENDPOINTS = (
    Endpoint("GET", "/api/config", "view", "The configuration in force, without secrets.", show_config, ConfigShown),
    Endpoint(
        "POST", "/api/reload", "admin", "Read the configuration again; streams go on.", reload, Reloaded, conflicts=True
    ),
)  # fmt: skip

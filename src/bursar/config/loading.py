"""File, environment and arguments become one frozen tree of settings.

Decides what is looked at (an explicit configuration, else the file that BURSAR_CONFIG names, else ./bursar.yaml, else
no file at all: keys in the environment are enough) and what wins (arguments over the file, the file over the
environment, the environment over the catalog's rows). It reads no clock and opens neither the books nor a connection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from bursar.catalog.providers import known_rows
from bursar.config import keys
from bursar.config.allowed import CLIENT, Compiler
from bursar.config.compounds import mapped
from bursar.config.kinds import USD_MAX, Surroundings
from bursar.config.nearest import did_you_mean, one_of
from bursar.config.prices import read_prices
from bursar.config.providers import from_row, known_names, read_providers
from bursar.config.reading import Node, read_file, read_mapping, shown_text
from bursar.config.routes import read_routes
from bursar.config.sections import Reading, unknown_key
from bursar.config.tree import Alerts, Gateway, Place, ProviderSettings, QueueSettings, Retention, Settings
from bursar.errors import ConfigError
from bursar.rules.money import decimal_of, nano_of

DEFAULT_FILE = "bursar.yaml"
DEFAULT_BOOKS = "bursar.db"
MEMORY = "memory:"
TAGS_MAX = 64


def load(
    config: str | Path | Mapping[str, Any] | None = None,
    *,
    budget_usd: str | int | float | Decimal | None = None,
    per: str = "day",
    books: str | Path | None = None,
    api_keys: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    environ: Mapping[str, str],
) -> Settings:
    """Make the settings of one client.

    config: a file's path, the same as a mapping, or None: the file that BURSAR_CONFIG names, else ./bursar.yaml where
    there is one, else nothing. budget_usd: one more budget, called "client", for every window `per` (hour, day, week,
    month, total). books: as in the file; relative to the working directory. api_keys: by provider, over file and
    environment. tags: carried by every call.

    Raises ConfigError with file, line and path for whatever cannot be used; nothing was opened or changed then.
    """
    from bursar.config.checks import contradictions

    root, path = _root(config, environ)
    reading = Reading(Surroundings(environ, path.parent if path else Path.cwd()), path.name if path else "arguments")
    plain = _plain(root, reading)
    llm = root.entries.get("llm")
    inside = dict(mapped(llm, "llm")) if llm else {}
    listed = inside.pop("providers", None)
    providers = read_providers(listed, reading, api_keys)
    names = known_names(providers)
    active = _active(inside, reading, providers)
    compiler = Compiler(
        reading,
        time_zone=plain.get("time_zone", "UTC"),
        mode=plain.get("mode", "enforce"),
        source=str(path) if path else "arguments",
        providers=names,
    )
    compiler.budgets(_section(root, "budgets"))
    compiler.limits(_section(root, "limits"))
    for provider in providers.values():
        compiler.provider(provider)
    if budget_usd is not None:
        compiler.argument(_budget(budget_usd), _period(per))
    settings = Settings(
        books=_books(books, plain.pop("books", None), reading),
        file=str(path) if path else None,
        active=active,
        providers=MappingProxyType(providers),
        routes=MappingProxyType(read_routes(_section(root, "routes"), reading, set(names))),
        prices=read_prices(root.entries.get("prices"), reading, names),
        allowances=tuple(compiler.allowances.values()),
        queue=QueueSettings(**reading.section(_section(root, "queue"), keys.QUEUE_KEYS, "queue")),
        retention=Retention(**reading.section(_section(root, "retention"), keys.RETENTION_KEYS, "retention")),
        alerts=Alerts(**reading.section(_section(root, "alerts"), keys.ALERT_KEYS, "alerts")),
        gateway=Gateway(**reading.section(_section(root, "gateway"), keys.GATEWAY_KEYS, "gateway")),
        tags=MappingProxyType(_tags(tags)),
        places=MappingProxyType(reading.places),
        **plain,
    )
    for finding in contradictions(settings):
        if finding.level == "error":
            raise ConfigError(
                f"{finding.key}: {finding.message}", file=settings.file, line=finding.line, key=finding.key
            )
    return settings


def _root(config: Any, environ: Mapping[str, str]) -> tuple[Node, Path | None]:
    """The root of the file or mapping, and the file's absolute path."""
    if isinstance(config, Mapping):
        return read_mapping(config), None
    if config is not None and not isinstance(config, str | Path):
        raise ConfigError(f"expected the path of a file, or a mapping, got {type(config).__name__}", key="config")
    named: str | Path | None = config
    if named is None:
        named = environ.get("BURSAR_CONFIG") or (DEFAULT_FILE if Path(DEFAULT_FILE).is_file() else None)
    if named is None:
        return read_mapping({}), None
    if not str(named) or "\0" in str(named):
        raise ConfigError("expected the path of a file", key="config")
    path = Path.cwd() / named
    return read_file(path), path


def _plain(root: Node, reading: Reading) -> dict[str, Any]:
    """The plain keys of the root, once every key of the root is known to be one."""
    by_name = {key.name: key for key in keys.ROOT_KEYS}
    for name, node in root.entries.items():
        if name not in by_name and name not in keys.ROOT_SECTIONS:
            raise unknown_key(node, name, [*by_name, *keys.ROOT_SECTIONS])
    given = {name: node for name, node in root.entries.items() if name in by_name}
    return {by_name[name].attribute: reading.value(node, by_name[name]) for name, node in given.items()}


def _section(root: Node, name: str) -> Node:
    """A section of the root; an empty one where the file has none."""
    return root.entries.get(name) or Node("mapping", name, root.file, None)


def _active(inside: Mapping[str, Node], reading: Reading, providers: dict[str, ProviderSettings]) -> str | None:
    """The active provider. Naming it is enough for it to exist; a key that it lacks is missed when it is used."""
    for name, node in inside.items():
        if name != "active":
            raise unknown_key(node, name, ["active", "providers"])
    given = inside.get("active")
    if given is None:
        return None
    active: str = reading.value(given, keys.LLM_KEYS[0])
    names = known_names(providers)
    if active not in names:
        hint = did_you_mean(active, sorted(names), "providers")
        raise given.error(f"there is no provider {shown_text(active)}; {hint}")
    if active not in providers:
        providers[active] = from_row(active, known_rows()[active], reading)
    if not providers[active].base_url:
        raise given.error(f"{active} needs llm.providers.{active}.base_url")
    return active


def _budget(usd: object) -> int:
    try:
        amount = decimal_of(usd) if isinstance(usd, str | int | float | Decimal) else None
        if amount is None or not 0 <= amount <= USD_MAX:
            raise ValueError(f"expected an amount of USD from 0 to {USD_MAX:,}")
        return nano_of(amount)
    except ValueError as error:
        raise ConfigError(f"budget_usd: {error}", key="budget_usd") from None


def _period(per: object) -> str:
    if per not in keys.BUDGET_PERIODS:
        raise ConfigError(f"per: expected {one_of(keys.BUDGET_PERIODS)}, got {shown_text(repr(per))}", key="per")
    return str(per)


def _tags(tags: object) -> dict[str, str]:
    if tags is None:
        return {}
    if not isinstance(tags, Mapping) or len(tags) > TAGS_MAX:
        raise ConfigError(f"tags: expected a mapping of at most {TAGS_MAX} names to texts", key="tags")
    for name, value in tags.items():
        if name in keys.OWN_DIMENSIONS:
            raise ConfigError(f"tags: {name} is what every call has; a tag cannot be called so", key="tags")
        if not isinstance(name, str) or not re.fullmatch(keys.TAG, name):
            raise ConfigError("tags: the name of a tag has up to 64 letters, digits and - _ .", key="tags")
        if not isinstance(value, str) or not 0 < len(value) <= 256 or not value.isprintable():
            raise ConfigError(f"tags: the value of {name} must be a line of at most 256 characters", key="tags")
    return dict(tags)


def _books(argument: str | Path | None, given: str | None, reading: Reading) -> str:
    """Where the books are: the argument, the file, BURSAR_DB, ./bursar.db; an absolute path, or "memory:"."""
    variable = reading.around.environ.get("BURSAR_DB", "").strip()
    if argument is not None:
        reading.places["books"] = Place("argument")
        return _books_path(str(argument), Path.cwd(), reading)
    if given is not None:
        return _books_path(given, reading.around.folder, reading)
    if variable:
        reading.places["books"] = Place("environment BURSAR_DB")
        return _books_path(variable, Path.cwd(), reading)
    return str(Path.cwd() / DEFAULT_BOOKS)


def _books_path(text: str, folder: Path, reading: Reading) -> str:
    place = reading.places["books"]

    def refuse(problem: str) -> NoReturn:
        raise ConfigError(f"books: {problem}", file=place.file, line=place.line, key="books")

    if text in (MEMORY, ":memory:", "sqlite://", "sqlite:///:memory:", "memory"):
        return MEMORY
    scheme, colon, rest = text.partition("://")
    if colon and (scheme != "sqlite" or not rest.startswith("/") or "?" in rest):
        refuse("expected sqlite:///PATH, a path, or memory:")
    path = rest[1:] if colon else text.removeprefix("sqlite:")
    home = reading.around.environ.get("HOME")
    if not path or "\0" in path:
        refuse("expected the path of a file")
    full = Path(home, path[2:]) if path.startswith("~/") and home else folder / path
    try:
        # Two processes that spell the path differently must meet in one file.
        resolved = full.resolve()
        folder_named = resolved.is_dir()
    except (OSError, RuntimeError):
        refuse("this path cannot be followed")
    if folder_named:
        refuse(f"{resolved} is a folder; name a file in it")
    return str(resolved)


__all__ = ["CLIENT", "DEFAULT_BOOKS", "DEFAULT_FILE", "MEMORY", "load"]

"""What Bursar stands on: Python, SQLite, locks, the clock, vocabularies, the price list, proxies."""

from __future__ import annotations

import platform
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

from bursar.cli.opening import utc_today
from bursar.cli.symptoms import Symptom

PYTHON_MIN = (3, 11)
# Upserts came with 3.24, reading a write-ahead log without writing with 3.22.
SQLITE_MIN = (3, 24)
PRICES_DAYS_MAX = 120
# No clock that is right shows a day before Bursar was written.
CLOCK_MIN = date(2026, 11, 1)
CLOCK_MAX = date(2100, 1, 1)


def python() -> Iterator[Symptom]:
    """The version of Python."""
    found = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()}"
    if sys.version_info[:2] < PYTHON_MIN:
        yield Symptom("python", "error", found, "Bursar needs Python 3.11 or newer")
    else:
        yield Symptom("python", "ok", found)


def sqlite() -> Iterator[Symptom]:
    """The version of SQLite, and the JSON functions that the books use."""
    connection = sqlite3.connect(":memory:")
    try:
        rows = connection.execute("SELECT count(*) FROM json_each('[1, 2]')").fetchone()[0]
        with_json = rows == 2
    except sqlite3.Error:
        with_json = False
    finally:
        connection.close()
    found = f"{sqlite3.sqlite_version}, {'with' if with_json else 'without'} JSON"
    if not with_json or sqlite3.sqlite_version_info < SQLITE_MIN:
        mend = "use a Python whose SQLite is 3.38 or newer: the books need JSON and upserts"
        yield Symptom("sqlite", "error", found, mend)
    else:
        yield Symptom("sqlite", "ok", found)


def locks() -> Iterator[Symptom]:
    """Whether files can be locked."""
    try:
        import fcntl  # noqa: F401 - whether there is one is the question
    except ImportError:
        yield Symptom(
            "locks",
            "note",
            "this system has no flock: processes take turns by SQLite's own lock, and a process that"
            " died is only noticed when its lease has ended (a minute)",
        )
    else:
        yield Symptom("locks", "ok", "flock: processes take fair turns, and one that died is noticed at once")


def clock() -> Iterator[Symptom]:
    """Whether the clock can be right."""
    now = datetime.now(UTC)
    found = now.strftime("%Y-%m-%d %H:%M UTC")
    if CLOCK_MIN <= now.date() < CLOCK_MAX:
        yield Symptom("clock", "ok", found)
    else:
        yield Symptom("clock", "error", found, "set the clock: budgets reset, and prices begin, by it")


def vocabularies() -> Iterator[Symptom]:
    """Whether tokens can be counted."""
    from bursar.catalog.vocabularies import NAMES, encoding

    for name in sorted(NAMES):
        try:
            encoding(name).encode_ordinary("Name three rivers.")
        except Exception as error:
            yield Symptom("vocabularies", "error", f"{name} does not load: {error}", "install bursar again")
            return
    yield Symptom("vocabularies", "ok", f"{', '.join(sorted(NAMES))} load; tokens are counted offline")


def prices() -> Iterator[Symptom]:
    """The version and the age of the price list."""
    from importlib.metadata import version

    found = f"genai-prices {version('genai-prices')}"
    newest = newest_price(utc_today())
    if newest is None:
        yield Symptom("prices", "warning", f"{found}; the age of its data is not known")
        return
    days = (utc_today() - newest).days
    found += f"; its newest price is of {newest}, {days} days ago"
    if days > PRICES_DAYS_MAX:
        mend = "pip install --upgrade genai-prices, or name prices in bursar.yaml"
        yield Symptom("prices", "warning", found, mend)
    else:
        yield Symptom("prices", "ok", found)


def newest_price(today: date) -> date | None:
    """The latest day up to today from which a price of the list holds: the list is at least as new."""
    from genai_prices.data import providers

    starts = (
        getattr(conditional.constraint, "start_date", None)
        for provider in providers
        for model in provider.models
        if isinstance(model.prices, list)
        for conditional in model.prices
    )
    return max((start for start in starts if isinstance(start, date) and start <= today), default=None)


def proxies() -> Iterator[Symptom]:
    """The proxies of the environment, without their credentials."""
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    named = {scheme: url for scheme, url in getproxies().items() if scheme in ("http", "https", "all")}
    if not named:
        yield Symptom("proxies", "ok", "none in the environment")
    for scheme, url in named.items():
        parts = urlsplit(url if "://" in url else f"http://{url}")
        place = parts.netloc.rpartition("@")[2]
        found = f"{scheme} goes through {parts.scheme}://{place}"
        if parts.scheme in ("http", "https") and parts.hostname:
            yield Symptom("proxies", "note", found, "if calls fail to connect, look there; NO_PROXY names exceptions")
        else:
            yield Symptom("proxies", "error", found, "only http and https proxies are supported")


CHECKS: tuple[Callable[[], Iterator[Symptom]], ...] = (python, sqlite, locks, clock, vocabularies, prices, proxies)

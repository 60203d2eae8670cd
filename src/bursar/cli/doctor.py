"""`bursar doctor`: what is wrong with this set-up, and how to mend it. Shows no secret; pays nothing unless asked to.

The checks are in `doctor_machine` (what Bursar stands on), `doctor_settings` (what it is told), `doctor_books` and
`doctor_providers` (what answers, with `doctor_account`) or `doctor_probe`. One that fails itself is reported as what
it found; the others go on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bursar.cli.ending import FAILED
from bursar.cli.opening import load_settings
from bursar.cli.options import books_option, config_option, json_option
from bursar.cli.output import counted, echo_json, width
from bursar.cli.symptoms import Symptom
from bursar.errors import BursarError, ConfigError

if TYPE_CHECKING:
    from bursar.config import Settings

_COLOURS = {"ok": "green", "note": "cyan", "warning": "yellow", "error": "red"}
_INDENT = 22
_TEXT_MIN = 40


@click.command("doctor")
@click.option("--probe", is_flag=True, help="Also make one tiny call to each provider, and say what it cost.")
@click.option("--offline", is_flag=True, help="Ask no provider.")
@config_option
@books_option
@json_option
def doctor(probe: bool, offline: bool, config: Path | None, books: str | None, as_json: bool) -> None:
    """What is wrong with this set-up, and how to mend it. Exits with 1 when something is broken.

    Looks at this machine, the configuration, the keys (which are never shown) and the books, and asks each provider
    for its models, which costs nothing. Changes nothing.
    """
    if probe and offline:
        raise click.UsageError("--probe calls providers, --offline asks none", click.get_current_context())
    symptoms = list(examine(config, books, probe=probe, offline=offline))
    broken = sum(symptom.level == "error" for symptom in symptoms)
    if as_json:
        echo_json({"healthy": not broken, "checks": [asdict(symptom) for symptom in symptoms]})
    else:
        for symptom in symptoms:
            _print(symptom)
        warnings = sum(symptom.level == "warning" for symptom in symptoms)
        verdict = f"{counted(broken, 'thing')} broken" if broken else "Nothing is broken"
        more = f", {counted(warnings, 'warning')}" if warnings else ""
        click.echo(f"\n{verdict}{more}.")
    if broken:
        raise click.exceptions.Exit(FAILED)


def examine(config: Path | None, books: str | None, *, probe: bool, offline: bool) -> Iterator[Symptom]:
    """Every check, in order."""
    from bursar.cli import doctor_books, doctor_machine, doctor_probe, doctor_providers, doctor_settings

    yield from _run(check for check in doctor_machine.CHECKS)
    try:
        settings = load_settings(config, books)
    except ConfigError as error:
        yield Symptom("configuration", "error", str(error), "mend the file; `bursar config check` reads it again")
        return
    online = doctor_probe.CHECKS if probe else doctor_providers.CHECKS
    checks = (*doctor_settings.CHECKS, *doctor_books.CHECKS, *(() if offline else online))
    yield from _run(_with(check, settings) for check in checks)


def _with(check: Callable[[Settings], Iterable[Symptom]], settings: Settings) -> Callable[[], Iterable[Symptom]]:
    def run() -> Iterable[Symptom]:
        return check(settings)

    run.__name__ = check.__name__
    return run


def _run(checks: Iterable[Callable[[], Iterable[Symptom]]]) -> Iterator[Symptom]:
    for check in checks:
        try:
            yield from check()
        except BursarError as error:
            yield Symptom(check.__name__, "error", str(error))
        except Exception as error:
            # The doctor is run because something is broken: that may be what a check stands on, too.
            yield Symptom(check.__name__, "error", f"{type(error).__name__}: {error}")


def _print(symptom: Symptom) -> None:
    from textwrap import wrap

    columns = max(min(width(), 100) - _INDENT - 1, _TEXT_MIN)
    first, *rest = wrap(symptom.found, columns, break_on_hyphens=False, break_long_words=False) or [""]
    level = symptom.level.ljust(8)
    if sys.stdout.isatty():
        level = click.style(level, fg=_COLOURS[symptom.level])
    click.echo(f"{level}{symptom.check.ljust(_INDENT - 8)}{first}")
    for line in rest:
        click.echo(" " * _INDENT + line)
    for at, line in enumerate(wrap(symptom.mend, columns - 3, break_on_hyphens=False, break_long_words=False)):
        click.echo(" " * _INDENT + ("   " if at else "-> ") + line)

"""`bursar config`: write, check and show the configuration. Secrets are never shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bursar.cli.ending import EndedError
from bursar.cli.opening import load_settings, utc_today
from bursar.cli.options import books_option, config_option, json_option
from bursar.cli.output import counted, echo_json, note
from bursar.errors import ConfigError

if TYPE_CHECKING:
    from bursar.config import Finding

DEFAULT_FILE = "bursar.yaml"


@click.group("config")
def config() -> None:
    """The configuration: write one, check it, show what it comes to."""


@config.command("init")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), default=DEFAULT_FILE)
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@json_option
def init(file: Path, force: bool, as_json: bool) -> None:
    """Write a commented bursar.yaml with one budget."""
    from bursar.config.starter import init_text

    try:
        with file.open("w" if force else "x", encoding="utf-8") as written:
            written.write(init_text())
    except FileExistsError:
        raise EndedError(f"{file} is there already; --force overwrites it", code="exists") from None
    if as_json:
        echo_json({"file": str(file.resolve())})
        return
    note(f"Wrote {file}: $5 a day over everything. Next:")
    if not os.environ.get("OPENAI_API_KEY"):
        note("  export OPENAI_API_KEY=...              (or name another provider in the file)")
    note('  bursar config check\n  bursar chat "Name three rivers."')


@config.command("check")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@json_option
def check(file: Path | None, as_json: bool) -> None:
    """Read FILE (else $BURSAR_CONFIG, else ./bursar.yaml) and say what is wrong or contradicts itself in it.

    Exits with 1 when it cannot be used, with 0 when there are only warnings.
    """
    from bursar.config import contradictions

    try:
        settings = load_settings(file)
    except ConfigError as error:
        shown = [_finding("error", error.key or "", error.line, error.problem)]
        if as_json:
            echo_json({"file": error.file or _named(file), "valid": False, "findings": shown})
        else:
            click.echo(_line(_shortened(error.file) if error.file else _named(file), shown[0]))
        raise click.exceptions.Exit(1) from None
    findings = [_shown(finding) for finding in contradictions(settings, utc_today())]
    if as_json:
        echo_json({"file": settings.file, "valid": True, "findings": findings})
        return
    name = _shortened(settings.file) if settings.file else "environment"
    for finding in findings:
        click.echo(_line(name, finding))
    if settings.file is None:
        note(f"There is no {DEFAULT_FILE} here; `bursar config init` writes one. Keys in the environment are enough.")
    else:
        note(f"{name} is valid{_summary(findings)}")


@config.command("show")
@config_option
@books_option
@json_option
def show(config: Path | None, books: str | None, as_json: bool) -> None:
    """What file and environment come to, defaults included, each value with where it comes from. Secrets hidden."""
    from bursar.config.showing import show as text_of

    text = text_of(load_settings(config, books))
    if as_json:
        import yaml

        echo_json(_plain(yaml.safe_load(text)))
    else:
        click.echo(text, nl=False)


@config.command("schema")
@json_option
def schema(as_json: bool) -> None:
    """The JSON schema of bursar.yaml, for editors."""
    from bursar.config.schema import schema as schema_of

    echo_json(schema_of())


def _shown(finding: Finding) -> dict[str, Any]:
    return _finding(finding.level, finding.key, finding.line, finding.message)


def _finding(level: str, key: str, line: int | None, message: str) -> dict[str, Any]:
    return {"level": level, "line": line, "key": key, "message": message}


def _line(file: str, finding: dict[str, Any]) -> str:
    """A finding as compilers write it, so that editors find the place."""
    place = f"{file}:{finding['line']}" if finding["line"] else file
    key = f"{finding['key']}: " if finding["key"] and not finding["message"].startswith(finding["key"]) else ""
    return f"{place}: {finding['level']}: {key}{finding['message']}"


def _summary(findings: list[dict[str, Any]]) -> str:
    warnings = sum(finding["level"] == "warning" for finding in findings)
    notes = len(findings) - warnings
    parts = [counted(number, noun) for number, noun in ((warnings, "warning"), (notes, "note")) if number]
    return f", with {' and '.join(parts)}" if parts else ""


def _named(file: Path | None) -> str:
    return str(file or os.environ.get("BURSAR_CONFIG") or DEFAULT_FILE)


def _shortened(file: str) -> str:
    """The path from here, where the file lies below."""
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file


def _plain(value: Any) -> Any:
    """What YAML reads, as JSON has it: dates become texts."""
    if isinstance(value, dict):
        return {str(name): _plain(held) for name, held in value.items()}
    if isinstance(value, list):
        return [_plain(held) for held in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)

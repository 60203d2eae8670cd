"""`bursar db`: check, back up and prune the books."""

from __future__ import annotations

from pathlib import Path

import click

from bursar.cli.ending import FAILED, EndedError
from bursar.cli.opening import load_settings, now_ms, open_books, require_books
from bursar.cli.options import Days, books_option, config_option, json_option
from bursar.cli.output import counted, echo_json, note
from bursar.errors import StoreUnavailableError

DAY_MS = 86_400_000


@click.group("db")
def db() -> None:
    """The books: check, back up, prune."""


@db.command("check")
@config_option
@books_option
@json_option
def check(config: Path | None, books: str | None, as_json: bool) -> None:
    """Read all of the books: is the file whole, and do its sums agree? Exits with 1 when not."""
    settings = load_settings(config, books)
    require_books(settings)
    try:
        with open_books(settings) as store:
            problems = store.check(now_ms())
    except StoreUnavailableError as error:
        problems = [error.message]
    if as_json:
        echo_json({"books": settings.books, "ok": not problems, "problems": problems})
    elif problems:
        for problem in problems:
            click.echo(problem)
    else:
        click.echo(f"{settings.books}: the file is whole, and every sum agrees with the ledger")
    if problems:
        raise click.exceptions.Exit(FAILED)


@db.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@config_option
@books_option
@json_option
def backup(file: Path, force: bool, config: Path | None, books: str | None, as_json: bool) -> None:
    """Copy the books to FILE while they are in use. The copy is one consistent state."""
    settings = load_settings(config, books)
    require_books(settings)
    if file.exists():
        if file.samefile(settings.books):
            raise EndedError(f"{file} is the books themselves; name another file")
        if not force:
            raise EndedError(f"{file} is there already; --force overwrites it", code="exists")
    # The old copy is replaced by a whole new one, or stays.
    new = file.with_name(f"{file.name}.new") if file.exists() else file
    new.unlink(missing_ok=True) if new != file else None
    with open_books(settings) as store:
        store.backup(new)
    new.replace(file)
    if as_json:
        echo_json({"file": str(file.resolve()), "bytes": file.stat().st_size})
    else:
        note(f"Wrote {file}, {file.stat().st_size:,} bytes")


@db.command("prune")
@click.option("--older-than", type=Days(), metavar="SPAN", help="Such as 90d; else retention.ledger of bursar.yaml.")
@config_option
@books_option
@json_option
def prune(older_than: int | None, config: Path | None, books: str | None, as_json: bool) -> None:
    """Fold old rows of the ledger into opening rows. No sum and no budget changes; single calls are forgotten."""
    settings = load_settings(config, books)
    require_books(settings)
    kept_ms = older_than
    if kept_ms is None:
        if settings.retention.ledger_days is None:
            raise click.UsageError(
                "say how old: --older-than 90d, or retention.ledger in bursar.yaml", click.get_current_context()
            )
        kept_ms = settings.retention.ledger_days * DAY_MS
    with open_books(settings) as store:
        folded = store.prune(now_ms() - kept_ms, now_ms)
    if as_json:
        echo_json({"books": settings.books, "folded_rows": folded})
    else:
        note(f"Folded {counted(folded, 'row')}." if folded else "No rows are that old.")

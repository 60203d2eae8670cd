"""How a command ends badly: which exit code, and what is said. Never a traceback, unless BURSAR_TRACEBACK asks for one.

With --json the error is also an object on stdout, so that a script has one thing to read: {"error": {"code", ...}}.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from bursar.errors import BursarError, CircuitBreakerError, InvalidRequestError, ProviderError, RefusedError

FAILED = 1
USAGE = 2
REFUSED = 3
PROVIDER_FAILED = 4
INTERRUPTED = 130
# What a shell reports of a program that SIGPIPE ended.
PIPE_CLOSED = 141
JSON_ASKED = "bursar.json"


def exit_code_of(error: BursarError) -> int:
    """The exit code of an error.

    >>> exit_code_of(InvalidRequestError("no")), exit_code_of(RefusedError("no")), exit_code_of(BursarError("no"))
    (2, 3, 1)
    """
    if isinstance(error, ProviderError | CircuitBreakerError):
        return PROVIDER_FAILED
    if isinstance(error, RefusedError):
        return REFUSED
    return USAGE if isinstance(error, InvalidRequestError) else FAILED


class EndedError(click.ClickException):
    """Ends the command with a line on stderr; `details` go into the JSON form."""

    def __init__(self, message: str, exit_code: int = FAILED, *, code: str = "failed", **details: Any) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click reads the instance
        self.details = {"code": code, "message": message, "exit_code": exit_code, **details}
        self.as_json = False

    def show(self, file: Any = None) -> None:
        """Say it on stderr, and on stdout as JSON where that was asked for."""
        click.echo(f"Error: {self.message}", err=True)
        if self.as_json:
            from bursar.cli.output import echo_json

            echo_json({"error": self.details})


@contextmanager
def ending(context: click.Context) -> Iterator[None]:
    """Turn every error that a command may raise into its ending."""
    try:
        with _plain_endings():
            yield
    except EndedError as error:
        # The context is gone when it is shown.
        error.as_json = bool(context.meta.get(JSON_ASKED))
        raise


@contextmanager
def _plain_endings() -> Iterator[None]:
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except BursarError as error:
        raise of_error(error) from error
    except KeyboardInterrupt:
        click.echo(err=True)  # the shell's prompt does not stand behind ^C
        raise click.exceptions.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        _forget_output()
        raise click.exceptions.Exit(PIPE_CLOSED) from None
    except OSError as error:
        if os.environ.get("BURSAR_TRACEBACK"):
            raise
        what = f"{error.filename}: " if error.filename else ""
        raise EndedError(f"{what}{error.strerror or error}") from error
    except Exception as error:
        if os.environ.get("BURSAR_TRACEBACK"):
            raise
        raise EndedError(
            f"an unexpected {type(error).__name__}: {error}\n"
            "This is a fault of Bursar. With BURSAR_TRACEBACK=1 it shows where; please report that.",
            code="unexpected",
        ) from error


def of_error(error: BursarError) -> EndedError:
    """The ending of an error of Bursar's own, with what it says of itself (amounts, waits, ids) for scripts."""
    details = {
        name: value
        for name, value in vars(error).items()
        if isinstance(value, str | int | float | None) and name not in ("message", "problem", "code", "exit_code")
    }
    return EndedError(str(error), exit_code_of(error), code=error.code, **details)


def _forget_output() -> None:
    """Whoever read us has gone: what is still buffered goes nowhere, and Python does not complain at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)

"""Secrets: references to an environment variable, a file or a command, and values that no output shows.

Decides how a reference is read and when it is fetched: a variable with the file, a file or a command the first time
the secret is needed. Never runs a shell, never logs, and never puts a value, or what a command printed, in an error.
Only configuration reaches `subprocess` here: no request and no database row does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from bursar.config.reading import shown_text
from bursar.errors import ConfigError

# A password manager that asks the user takes seconds; one that hangs must not hang us.
COMMAND_SECONDS_MAX = 10
# The longest credentials in use (service-account tokens) have a few thousand characters.
SECRET_CHARACTERS_MAX = 16_384

_REFERENCE = re.compile(r"\$(?:(\$\{)|\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\{)")


class Secret:
    """A value that is shown by nobody. `reveal` is the only way to it; printing, formatting and comparing are safe.

    reference: how the configuration names it ("${OPENAI_API_KEY}", "file:/run/key", "command"), "" for a value that
    was given itself. named: a value, file or command is there to be fetched (a variable that is not set is not).
    """

    __slots__ = ("_command", "_command_seconds_max", "_file", "_place", "_value", "reference")

    def __init__(
        self,
        value: str | None = None,
        *,
        reference: str = "",
        file: Path | None = None,
        command: tuple[str, ...] = (),
        place: tuple[str | None, int | None] = (None, None),
        command_seconds_max: float = COMMAND_SECONDS_MAX,
    ) -> None:
        self._value = value
        self._file = file
        self._command = command
        self._place = place
        self._command_seconds_max = command_seconds_max
        self.reference = reference

    @property
    def named(self) -> bool:
        """True when there is something to fetch: a value, a file or a command."""
        return bool(self._value or self._file or self._command)

    @property
    def fetched(self) -> bool:
        """False while `reveal` has yet to read a file or run a command, which may block for seconds."""
        return self._value is not None or not self.named

    def reveal(self, key: str = "") -> str:
        """The value. `key` is the path in the file, for errors. Raises ConfigError when there is none to be had."""
        if self._value is None and self._file is not None:
            self._value = self._clean(self._read(self._file, key), key)
        elif self._value is None and self._command:
            self._value = self._clean(self._run(key), key)
        if not self._value:
            unset = f"{self.reference} is not set in the environment" if self.reference else "is empty"
            self._fail(unset, key)
        return self._clean(self._value, key)

    def _read(self, path: Path, key: str) -> str:
        try:
            with path.open("rb") as stream:
                return stream.read(SECRET_CHARACTERS_MAX + 2).decode()
        except UnicodeDecodeError:
            self._fail(f"the file {shown_text(str(path))} is not text", key)
        except OSError as error:
            self._fail(
                f"the file {shown_text(str(path))} cannot be read: {error.strerror or type(error).__name__}", key
            )

    def _run(self, key: str) -> str:
        import subprocess

        name = shown_text(self._command[0])
        try:
            done = subprocess.run(
                self._command, stdin=subprocess.DEVNULL, capture_output=True, timeout=self._command_seconds_max,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            self._fail(f"the command {name} did not answer within {self._command_seconds_max:g} seconds", key)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            self._fail(f"the command {name} cannot be run: {reason}", key)
        if done.returncode:
            self._fail(f"the command {name} ended with status {done.returncode}", key)
        return done.stdout.decode(errors="replace")

    def _clean(self, value: str, key: str) -> str:
        """Strip the line end that files and commands have; refuse what could not be sent in a header."""
        value = value.strip()
        if not value:
            self._fail("is empty", key)
        if len(value) > SECRET_CHARACTERS_MAX or any(not "!" <= character <= "~" for character in value):
            self._fail("holds spaces, line ends or other characters that no key has", key)
        return value

    def _fail(self, problem: str, key: str) -> NoReturn:
        file, line = self._place
        raise ConfigError(f"{key or 'secret'}: {problem}", file=file, line=line, key=key or None) from None

    def __repr__(self) -> str:
        return f"<secret {self.reference}>" if self.reference else "<secret>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac

        same = (self.reference, self._file, self._command) == (other.reference, other._file, other._command)
        return same and hmac.compare_digest((self._value or "").encode(), (other._value or "").encode())

    def __hash__(self) -> int:
        return hash((self.reference, self._file, self._command))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not to be pickled")


def references(text: str) -> tuple[str, ...]:
    """The environment variables that a text refers to."""
    return tuple(match[2] for match in _REFERENCE.finditer(text) if match[2])


def expand(text: str, environ: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Put the environment's values in place of `${NAME}` and `${NAME:-default}`; `$${` is a plain `${`.

    Returns the text and the names that are not set (or empty) and have no default. Raises ValueError for a `${` that
    begins no reference.

    >>> expand("https://${HOST:-localhost}/${PATH_}", {"PATH_": "v1"})
    ('https://localhost/v1', ())
    """
    unset: list[str] = []

    def value(match: re.Match[str]) -> str:
        escaped, name, default = match.groups()
        if escaped:
            return "${"
        if not name:
            raise ValueError("a ${ that is not closed or names no variable; write ${NAME}, or $${ for a plain ${")
        found = environ.get(name) or default
        if found is None:
            unset.append(name)
        return found or ""

    return _REFERENCE.sub(value, text), tuple(unset)

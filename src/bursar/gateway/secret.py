"""The secret under which keys of callers are digested: from BURSAR_SECRET, else a file beside the books.

With the database alone nobody can tell whether a text is a key. Whoever loses the secret loses every key with it, so
it belongs into the same backup as the books, and not into the same hands.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bursar.errors import ConfigError

VARIABLE = "BURSAR_SECRET"
BYTES_MIN = 32
# Read at the most; a longer file is something else.
BYTES_MAX = 4_096
MEMORY = "memory:"


def digest_of(secret: bytes, key: str) -> str:
    """What is kept of a key: HMAC-SHA256 in hexadecimal digits."""
    return hmac.digest(secret, key.encode(), "sha256").hex()


def mark_of(secret: bytes) -> str:
    """What tells a secret from others, kept beside each key: a key that was made under another one never counts."""
    return digest_of(secret, "the mark of a secret")[:16]


def secret_of(books: str | Path, environ: Mapping[str, str]) -> bytes:
    """The secret of these books: the variable's, else that of `<books>.secret`, which is made where it is missing.

    Books in memory have a new one each time. Raises ConfigError for a secret that is too short, and OSError.
    """
    given = environ.get(VARIABLE)
    if given:
        return _checked(os.fsencode(given), VARIABLE)
    if str(books) == MEMORY:
        return secrets.token_bytes(BYTES_MIN)
    path = Path(f"{Path(books).expanduser().absolute()}.secret")
    if not path.exists():
        _make(path)
    with path.open("rb") as file:
        _refuse_readable(path, os.fstat(file.fileno()).st_mode)
        return _checked(file.read(BYTES_MAX).strip(), str(path))


def _make(path: Path) -> None:
    """Write a new secret for this user alone, in one step: of several processes the first one's stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(BYTES_MIN).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _refuse_readable(path: Path, mode: int) -> None:
    if os.name == "posix" and mode & 0o007:
        raise ConfigError(f"{path} can be read by everyone; make it yours alone: chmod 600 {path}")


def _checked(secret: bytes, where: str) -> bytes:
    if len(secret) < BYTES_MIN:
        raise ConfigError(
            f"the secret in {where} has {len(secret)} bytes, and needs {BYTES_MIN}: openssl rand -hex 32 makes one"
        )
    return secret

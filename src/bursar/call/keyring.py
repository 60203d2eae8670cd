"""The keyring: keys of callers and their teams, kept beside the books and shared by all who use them.

No call reads it: who asks remembers the keys and looks only whether the version has risen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bursar.errors import ConfigError
from bursar.rules.keys import CallerKey, Team

__all__ = ["CallerKey", "Keyring", "NameTakenError", "Team"]


class NameTakenError(ConfigError):
    """Another key has this name, or had it; names are not used again."""

    code = "name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is, or was, another key called {name!r}; names are not used again, so that what was spent under "
            "one stays its own: take another name"
        )


class Keyring(Protocol):
    """The keys of one set of books. Every method blocks, any thread may call it, and all raise StoreUnavailableError.

    A key is never removed: its name, and what it spent, stay.
    """

    def version(self) -> int:
        """A number that every change raises, in whatever process it is made."""

    def keys(self, since: int = 0) -> list[CallerKey]:
        """Keys that were made or changed after this version, by name; all of them at 0."""

    def by_digest(self, digest: str) -> CallerKey | None:
        """The key that has this digest, whether or not it still counts."""

    def put(self, key: CallerKey) -> None:
        """Make or change a key. Raises NameTakenError, and ConfigError where one of its digests is another key's."""

    def alter(self, name: str, change: Callable[[CallerKey], CallerKey]) -> CallerKey | None:
        """Change the key of this name in one step, so that nobody's change undoes another's; None where there is none.

        Raises ConfigError as `put`, and what `change` raises; nothing has changed then.
        """

    def teams(self) -> list[Team]:
        """The teams, by name."""

    def put_team(self, team: Team) -> None:
        """Make or change a team."""

    def remove_team(self, name: str) -> bool:
        """Forget a team; whether there was one. Its keys and what it spent stay."""

"""What a check of the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Symptom:
    """One finding. check: what was looked at. found: in words. mend: what to do about it, "" for nothing.

    level: "error" is broken, "warning" probably a mistake, "note" worth knowing.
    """

    check: str
    level: Level
    found: str
    mend: str = ""

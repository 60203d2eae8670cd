"""What every bench prints: one JSON object with --json, lines for people without."""

from __future__ import annotations

import argparse
import json
import os
import platform
from typing import Any


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A command line with --json, described by the module's docstring."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser


def show(bench: str, figures: dict[str, Any], *, as_json: bool) -> None:
    """Print the figures of one bench, with the machine that they were measured on."""
    report = {"bench": bench, "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}", **figures}
    if as_json:
        print(json.dumps(report))
        return
    for name, value in report.items():
        shown = "  ".join(f"{key} {one}" for key, one in value.items()) if isinstance(value, dict) else value
        print(f"{name:32} {shown}")

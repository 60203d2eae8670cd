"""The command line: `bursar`, one command a file. Data goes to stdout, progress and logs to stderr.

Exit codes: 0 ok, 1 failed, 2 usage, 3 refused by a budget or limit, 4 the provider failed, 130 interrupted. A command's
module is imported when it is invoked, so that `bursar --help` costs little more than click.
"""

from __future__ import annotations


def main() -> None:
    """The entry point. Ends the process with the command's exit code."""
    import sys

    from bursar.cli.ending import INTERRUPTED

    try:
        from bursar.cli.group import cli

        cli.main(prog_name="bursar")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


__all__ = ["main"]

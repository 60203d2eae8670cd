"""The table of commands, and what is said of a command that there is not."""

from __future__ import annotations

import click
import pytest

from bursar.cli.group import COMMANDS, cli
from tests.cli.conftest import Bursar


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_and_an_example_of_what_it_does(bursar: Bursar, name: str) -> None:
    shown = bursar(name, "--help")
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith(f"Usage: bursar {name}")


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found += commands(command, (*path, name)) if isinstance(command, click.Group) else [((*path, name), command)]
    return found


def test_every_command_that_prints_data_prints_json() -> None:
    without = {path for path, command in commands(cli) if "--json" not in option_names(command)}
    # Its line is JSON anyway; a script for a shell; data are read over HTTP, and its log has --log-format json.
    assert without == {("sim",), ("completion",), ("serve",)}


def test_no_command_takes_a_key() -> None:
    assert not [path for path, command in commands(cli) if {"--key", "--api-key"} & option_names(command)]


def option_names(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def test_no_line_of_help_is_wider_than_a_terminal(bursar: Bursar) -> None:
    for path, _ in [((), cli), *commands(cli)]:
        wide = [line for line in bursar(*path, "--help").output.splitlines() if len(line) > 80]
        assert (path, wide) == (path, [])


def test_a_mistyped_command_is_guessed(bursar: Bursar) -> None:
    ended = bursar("budgt")
    assert ended.exit_code == 2
    assert "there is no command 'budgt'; did you mean budget?" in ended.stderr
    assert "did you mean list?" in bursar("budget", "lst").stderr


def test_an_unknown_command_names_them_all(bursar: Bursar) -> None:
    assert "commands: demo, doctor, config, chat" in bursar("xyzzy").stderr


def test_an_unknown_option_is_guessed(bursar: Bursar) -> None:
    ended = bursar("usage", "--jsn")
    assert (ended.exit_code, "--json" in ended.stderr) == (2, True)

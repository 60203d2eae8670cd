"""Every command that a document shows exists, with its options; every command there is, docs/cli.md tells of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bursar.cli.group import COMMANDS, cli
from tests.docs.fences import DOCUMENTS, Fence, commands, fences
from tests.tidy.tree import ROOT, name

# What else a console session may use.
SHELL = {"export", "curl", "cd", "pip", "eval", "python", "cat", "docker", "uv", "."}
_INLINE = re.compile(r"`(?:\.venv/bin/)?bursar ((?:[a-z][a-z-]*(?: |(?=`)))+)")


def check(words: list[str]) -> None:
    """Look up one command. Raises click.UsageError, or AssertionError."""
    words = [word for word in words if not re.fullmatch(r"[A-Z_]+=.*", word)]
    if not words:
        return
    program, rest = words[0].removeprefix(".venv/bin/"), words[1:]
    if program == "python" and rest[:1] == ["-m"]:
        program, rest = rest[1], rest[2:]
    if program == "bursar":
        parse(rest)
    elif program.startswith("bench."):
        assert (ROOT / f"{program.replace('.', '/')}.py").is_file(), program
    elif program.startswith((".", "/")) and len(program) > 1:
        assert (ROOT / program).is_file(), program
    else:
        assert program in SHELL, program


def parse(words: list[str]) -> None:
    """Parse the command line of `bursar` as far as it goes, and run nothing."""
    redirected = next((at for at, word in enumerate(words) if word in ("<", ">", ">>")), len(words))
    words = words[:redirected]
    if not words or words[0] in ("--version", "--help"):
        return
    command: click.Command = cli
    context = click.Context(cli, info_name="bursar")
    while isinstance(command, click.Group) and words:
        _, found, words = command.resolve_command(context, words)
        assert found is not None, words
        command = found
        context = click.Context(command, parent=context, info_name=command.name)
    if "--help" not in words:
        command.parse_args(context, list(words))


@pytest.mark.parametrize("fence", fences("console"), ids=str)
def test_a_session_uses_what_there_is(fence: Fence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "response.json").touch()
    (tmp_path / "responses").mkdir()
    for words in commands(fence):
        check(words)


def test_commands_in_the_text_exist() -> None:
    unknown = []
    for path in DOCUMENTS:
        for match in _INLINE.finditer(path.read_text("utf-8")):
            first, *rest = match[1].split()
            group = COMMANDS.get(first)
            found = None if group is None else cli.get_command(click.Context(cli), first)
            inside = found.list_commands(click.Context(found)) if isinstance(found, click.Group) else None
            if found is None or (rest and inside is not None and rest[0] not in inside):
                unknown.append(f"{name(path)}: bursar {match[1]}")
    assert unknown == []


def every_command() -> Iterator[str]:
    """Every command, `db check` and its kin too."""
    context = click.Context(cli)
    for first in cli.list_commands(context):
        command = cli.get_command(context, first)
        if isinstance(command, click.Group):
            yield from (f"{first} {second}" for second in command.list_commands(click.Context(command)))
        else:
            yield first


@pytest.mark.parametrize("command", list(every_command()))
def test_every_command_is_documented(command: str) -> None:
    assert f"bursar {command}" in (ROOT / "docs" / "cli.md").read_text("utf-8")


@pytest.mark.parametrize("line", ["bursar chatt", "bursar chat --modle x hi", "./scripts/demoo", "python -m bench.no"])
def test_what_does_not_exist_is_found(line: str) -> None:
    (words,) = commands(Fence("d", 1, "console", "", f"$ {line}\n"))
    with pytest.raises((click.UsageError, AssertionError)):
        check(words)


def test_comments_pipes_and_long_lines_are_read() -> None:
    body = "$ bursar sim \\\n    --seed 1   # seeds\nan answer\n$ A=b bursar usage --csv | cat\n"
    found = list(commands(Fence("d", 1, "console", "", body)))
    assert found == [["bursar", "sim", "--seed", "1"], ["A=b", "bursar", "usage", "--csv"], ["cat"]]

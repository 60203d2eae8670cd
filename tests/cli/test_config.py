"""`bursar config`: a file to begin with, what is wrong with one, what it comes to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Bursar

CONTRADICTION = """\
llm:
  providers:
    openai:
      api_key: ${OPENAI_API_KEY}
      cost_warning_threshold: 1.00
      max_cost_per_request: 0.10
"""


def test_init_writes_a_file_that_is_valid_and_is_not_overwritten(bursar: Bursar, folder: Path) -> None:
    assert "export OPENAI_API_KEY" in bursar("config", "init").stderr
    (folder / "bursar.yaml").write_text((folder / "bursar.yaml").read_text() + "# mine\n")
    again = bursar("config", "init")
    assert (again.exit_code, "--force" in again.stderr) == (1, True)
    assert "# mine" in (folder / "bursar.yaml").read_text()
    assert bursar("config", "check").exit_code == 0
    assert bursar("config", "init", "--force").exit_code == 0
    assert "# mine" not in (folder / "bursar.yaml").read_text()
    assert bursar("config", "init", "none/bursar.yaml").exit_code == 1


def test_check_warns_with_the_line_and_exits_with_0(bursar: Bursar, folder: Path) -> None:
    (folder / "bursar.yaml").write_text(CONTRADICTION)
    ended = bursar("config", "check")
    assert ended.exit_code == 0
    assert "bursar.yaml:5: warning: llm.providers.openai.cost_warning_threshold: a call is refused" in ended.stdout
    assert "is valid, with 1 warning" in ended.stderr
    shown = json.loads(bursar("config", "check", "--json").stdout)
    assert shown["valid"]
    assert [finding["line"] for finding in shown["findings"] if finding["level"] == "warning"] == [5]


def test_check_exits_with_1_on_errors(bursar: Bursar, folder: Path) -> None:
    (folder / "own.yaml").write_text("mode: enforce\nmax_wait_secnds: 3\n")
    ended = bursar("config", "check", "own.yaml")
    assert ended.exit_code == 1
    assert ended.stdout.startswith("own.yaml:2: error: ")
    assert "did you mean max_wait_seconds?" in ended.stdout
    shown = bursar("config", "check", "own.yaml", "--json")
    assert shown.exit_code == 1
    assert json.loads(shown.stdout)["valid"] is False
    assert bursar("config", "check", "none.yaml").exit_code == 1
    assert bursar("config", "check", ".").exit_code == 1


def test_check_without_a_file(bursar: Bursar, folder: Path) -> None:
    ended = bursar("config", "check")
    assert (ended.exit_code, "bursar config init" in ended.stderr) == (0, True)
    assert list(folder.iterdir()) == []


def test_the_environment_names_the_file(bursar: Bursar, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "other.yaml").write_text("max_wait_seconds: 3\n")
    monkeypatch.setenv("BURSAR_CONFIG", "other.yaml")
    assert "max_wait_seconds: 3 " in bursar("config", "show").stdout


def test_show_hides_secrets(bursar: Bursar, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    (folder / "bursar.yaml").write_text(CONTRADICTION + "    groq: {api_key: gsk-in-the-file}\n")
    for arguments in (("show",), ("show", "--json"), ("check",), ("check", "--json")):
        shown = bursar("config", *arguments)
        assert shown.exit_code == 0, shown.output
        assert "very-secret" not in shown.output
        assert "in-the-file" not in shown.output
    text = bursar("config", "show").stdout
    assert json.loads(bursar("config", "show", "--json").stdout)["mode"] == yaml.safe_load(text)["mode"] == "enforce"


def test_schema_is_json(bursar: Bursar) -> None:
    assert json.loads(bursar("config", "schema").stdout)["title"] == "bursar.yaml"

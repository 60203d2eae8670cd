"""What is read as YAML at all, and the files that are made to break readers."""

from __future__ import annotations

from pathlib import Path

import pytest

from bursar.config import load
from bursar.config.reading import DEPTH_MAX, FILE_BYTES_MAX, Node, read_mapping, read_yaml
from bursar.errors import ConfigError


def refusal(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_yaml(text, "bursar.yaml")
    return caught.value


def plain(node: Node) -> object:
    if node.form == "mapping":
        return {name: plain(entry) for name, entry in node.entries.items()}
    return [plain(item) for item in node.items] if node.form == "list" else node.text


def test_every_value_knows_its_path_and_line() -> None:
    root = read_yaml("a:\n  b:\n    - 1\n    - c: x\n", "f")
    item = root.entries["a"].entries["b"].items[1].entries["c"]
    assert (item.path, item.line, item.form, item.text) == ("a.b[1].c", 4, "text", "x")


def test_numbers_stay_as_written() -> None:
    root = read_yaml("a: 0.10\nb: 007\nc: 2026-01-01\nd: yes\ne: ~\nf: '5'", "f")
    assert [(node.form, node.text) for node in root.entries.values()] == [
        ("number", "0.10"), ("number", "007"), ("text", "2026-01-01"), ("truth", "yes"), ("nothing", "~"),
        ("text", "5"),
    ]  # fmt: skip


def test_names_that_yaml_takes_for_truths_are_names() -> None:
    assert list(read_yaml("no: 1\non: 2\n1: 3\n~: 4", "f").entries) == ["no", "on", "1", "~"]


def test_anchors_and_merge_keys_work() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [*a, {z: 4}]}\nd: *a"
    read = plain(read_yaml(text, "f"))
    assert read == {
        "a": {"x": "1", "y": "2"}, "b": {"y": "3", "x": "1"}, "c": {"x": "1", "y": "2", "z": "4"},
        "d": {"x": "1", "y": "2"},
    }  # fmt: skip
    assert refusal("a: {<<: 5}").line == 1


@pytest.mark.parametrize(
    "tagged",
    [
        "!!python/object/apply:os.system [echo]", "!!python/name:os.system ''", "!!binary aGk=", "!mine {a: b}",
        "!sk-1 x", "!!set {a}", "!!map x", "!!str [a]", "!<tag:yaml.org,2002:python/none> x",
    ],
)  # fmt: skip
def test_tags_are_not_read(tagged: str) -> None:
    error = refusal(f"a: 1\nb: {tagged}")
    assert "tags" in str(error)
    assert error.line == 2
    assert "sk-1" not in str(error)


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "aliases multiply" in str(refusal("\n".join(lines)))
    lines = ["a0: &a0 {k: 1}"] + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 10)]
    assert "aliases multiply" in str(refusal("\n".join(lines)))


def test_aliases_to_themselves_and_deep_nesting_are_refused() -> None:
    assert "deep" in str(refusal("a: &a [*a]"))
    assert "deep" in str(refusal("a: &a {b: *a}"))
    assert "deep" in str(refusal("a: &a {<<: *a}"))
    assert "deep" in str(refusal("a: " + "[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1)))
    assert "deep" in str(refusal("a: " + "[" * 100_000))
    looped: dict[str, object] = {}
    looped["a"] = looped
    with pytest.raises(ConfigError, match="deep"):
        read_mapping(looped)


@pytest.mark.parametrize(
    "text",
    [
        "a: [1, 2", "a: b: c", "\ta: 1", "a: 'open", "a: *nobody", "a: 1\n---\nb: 2", "a: @x", "? [a]\n: 1",
        '"\\UFFFFFFFF": 1', "a: \x00", "%YAML 99.9\n---\na: 1", "%YAML 1." + "9" * 5000 + "\n---\na: 1",
        "x" * 200 + ": 1", "a: &x 1\nb: &x 2\nc: *y",
    ],
)  # fmt: skip
def test_what_is_not_yaml_is_refused(text: str) -> None:
    assert str(refusal(text)).startswith("bursar.yaml")


@pytest.mark.parametrize(
    "text", ["a: *canary-key", "k: &canary-key 1\nl: !canary-key 2", "a: 'canary-key\n", "canary-key"]
)
def test_the_words_of_a_broken_file_are_not_repeated(text: str) -> None:
    assert "canary-key" not in str(refusal(text)).replace("the text 'canary-key'", "")


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "---\n", "\ufeff"])
def test_an_empty_file_is_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"is empty; `bursar config init`|got nothing"):
        load(tmp_path / "b.yaml", environ={})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load(tmp_path / "gone.yaml", environ={})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, environ={})
    (tmp_path / "latin.yaml").write_bytes(b"mode: enforce\nbooks: \xff\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml:2: is not UTF-8"):
        load(tmp_path / "latin.yaml", environ={})
    (tmp_path / "large.yaml").write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match="larger than 1024 KiB"):
        load(tmp_path / "large.yaml", environ={})
    for odd in ("", "a\0b"):
        with pytest.raises(ConfigError):
            load(odd, environ={})


def test_the_keys_of_a_mapping_are_bounded_texts() -> None:
    for key in ("a" * 200, 5):
        with pytest.raises(ConfigError, match="text of at most 128 characters"):
            read_mapping({key: 1})  # type: ignore[dict-item]


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"\xef\xbb\xbfmode: observe\n")
    assert load(tmp_path / "b.yaml", environ={}).mode == "observe"

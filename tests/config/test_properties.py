"""Whatever a file or mapping holds, `load` gives settings or ConfigError, and never shows a secret."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bursar.config import contradictions, keys, load, resolve_model
from bursar.config.reading import read_yaml
from bursar.config.showing import show
from bursar.errors import BursarError, ConfigError

NAMES = st.sampled_from(
    [
        *(key.name for key in (*keys.ROOT_KEYS, *keys.PROVIDER_KEYS, *keys.BUDGET_KEYS, *keys.LIMIT_KEYS)),
        *keys.ROOT_SECTIONS, "providers", "active", "openai", "local", "openai/gpt-4o", "input", "from", "ledger",
        "host", "port", "webhook", "file", "<<", "no",
    ]
)  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.dates(),
    st.sampled_from(
        ["day", "free", "observe", "${A}", "${", "10%", "400d", "UTC", "http://x", "openai/a", "memory:", "1e99", "\0"]
    ),
)  # fmt: skip
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
PROVIDERS = st.dictionaries(
    st.sampled_from(["openai", "groq", "local"]),
    st.dictionaries(st.sampled_from([key.name for key in keys.PROVIDER_KEYS]), SCALARS | TREES, max_size=3),
    max_size=2,
)
BUDGETS = st.dictionaries(
    st.sampled_from(["a", "b"]),
    st.fixed_dictionaries(
        {"usd": st.integers(0, 100) | SCALARS, "per": st.sampled_from(keys.BUDGET_PERIODS) | SCALARS},
        optional={key.name: SCALARS | TREES for key in keys.BUDGET_KEYS[2:]},
    ),
)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "llm": st.fixed_dictionaries({"providers": PROVIDERS}), "budgets": BUDGETS, "mode": TREES, "routes": TREES,
        "prices": TREES, "limits": TREES, "alerts": TREES, "retention": TREES, "time_zone": TREES,
    },
)  # fmt: skip


def survives(config: Any) -> None:
    try:
        made = load(config, environ={"A": "1"}, books="memory:")
    except ConfigError:
        return
    contradictions(made)
    read_yaml(show(made), "shown")
    for name in ("gpt-4o", "openai/x", None):
        try:
            resolve_model(made, name)
        except BursarError:
            continue


@given(CONFIGS | st.dictionaries(NAMES, TREES, max_size=4))
@settings(max_examples=300)
def test_any_mapping_loads_or_is_refused(config: dict[str, Any]) -> None:
    survives(config)


@given(CONFIGS, st.data())
@settings(max_examples=150)
def test_any_file_loads_or_is_refused(config: dict[str, Any], data: st.DataObject) -> None:
    text = yaml.safe_dump(config, allow_unicode=True)
    at = data.draw(st.integers(0, len(text)))
    noise = data.draw(
        st.text(max_size=3) | st.sampled_from(["*a", "&a ", "!x ", "<<: ", "[", "{", "\t", "%YAML 9", "'"])
    )
    with suppress(ConfigError):
        read_yaml(text[:at] + noise + text[at:], "bursar.yaml")


@given(st.text(min_size=8, max_size=30, alphabet=st.characters(min_codepoint=97, max_codepoint=122)), st.data())
def test_what_stands_at_a_secret_is_never_shown(word: str, data: st.DataObject) -> None:
    canary = f"Q{word}Q"
    shape = data.draw(
        st.sampled_from(
            [
                canary,
                [canary],
                {canary: 1},
                {"command": ["op", canary]},
                f"a {canary}",
                f"${{X}}{canary}",
                {"x": canary},
            ]
        )
    )
    config = {"llm": {"providers": {"openai": {"api_key": shape, "extra_headers": {"X-A": canary}}}}}
    assert canary not in outcome(config)


def outcome(config: dict[str, Any]) -> str:
    """All that people are shown of a configuration."""
    try:
        made = load(config, environ={}, books="memory:")
    except ConfigError as error:
        return f"{error} {error.key}"
    return f"{made!r} {made} {contradictions(made)} {show(made)}"

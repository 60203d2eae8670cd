"""Names of the user's own for models: both forms, what they say, and how they are shown."""

from __future__ import annotations

from typing import Any

import pytest

from bursar.config import Route, candidates, load
from bursar.config.routes import CANDIDATES_MAX, shown_route
from bursar.errors import ConfigError

ENVIRON = {"OPENAI_API_KEY": "k", "GROQ_API_KEY": "k", "MODEL": "gpt-4o"}


def route(given: Any) -> Route:
    return load({"routes": {"fast": given}}, environ=ENVIRON, books="memory:").routes["fast"]


def test_a_list_and_a_mapping_of_it_are_the_same() -> None:
    listed = ["openai/gpt-4o", "groq/llama"]
    assert route(listed) == route({"candidates": listed}) == Route(("openai/gpt-4o", "groq/llama"))
    assert (route(listed).on_content, route(listed).after_first_token) == ("stop", "never")


def test_a_mapping_says_how_to_go_on() -> None:
    said = route({"candidates": ["openai/${MODEL}"], "on_content": "next", "after_first_token": "continue"})
    assert said == Route(("openai/gpt-4o",), "next", "continue")


def test_its_candidates_are_what_the_name_stands_for() -> None:
    config = {"routes": {"fast": {"candidates": ["groq/llama", "openai/gpt-4o"]}}}
    settings = load(config, environ=ENVIRON, books="memory:")
    assert candidates(settings, "fast") == (("groq", "llama"), ("openai", "gpt-4o"))
    assert settings.place("routes.fast").origin == "argument"


def test_candidates_are_bounded() -> None:
    assert len(route([f"openai/{at}" for at in range(CANDIDATES_MAX)]).candidates) == CANDIDATES_MAX
    with pytest.raises(ConfigError, match=f"at most {CANDIDATES_MAX} candidates") as caught:
        route([f"openai/{at}" for at in range(CANDIDATES_MAX + 1)])
    assert caught.value.key == "routes.fast"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (Route(("openai/x", "groq/y")), "[openai/x, groq/y]"),
        (
            Route(("openai/x",), "next"),
            "{candidates: [openai/x], on_content: next, after_first_token: never}",
        ),
    ],
)
def test_it_is_shown_as_briefly_as_it_can_be(given: Route, text: str) -> None:
    assert shown_route(given) == text

"""The OpenAPI document says what is served: schemathesis asks what it allows, and what it does not.

A few examples of each operation run here; BURSAR_SCHEMATHESIS=200 asks so many.
"""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bursar.gateway.admin.openapi import describing, document
from bursar.gateway.admin.table import ENDPOINTS
from bursar.gateway.app import served
from tests.gateway.running import ADMIN_KEY, Running

EXAMPLES = int(os.environ.get("BURSAR_SCHEMATHESIS", "4"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
DOCUMENT: dict[str, Any] = msgspec.to_builtins(document((*ENDPOINTS, describing(ENDPOINTS))))
ADMIN_PATHS = {path for path in DOCUMENT["paths"] if path.startswith("/api/")}
# Every request comes with a key: without the scheme, nobody takes one with a key for one that should be refused.
ASKED = {name: value for name, value in DOCUMENT.items() if name != "security"}
ASKED["paths"] = {path: DOCUMENT["paths"][path] for path in ADMIN_PATHS}
ASKED["components"] = {"schemas": DOCUMENT["components"]["schemas"]}
SCHEMA = schemathesis.openapi.from_dict(ASKED)
OPERATIONS = {result.ok().label: result.ok() for result in SCHEMA.get_all_operations()}
HEADERS = {"authorization": f"Bearer {ADMIN_KEY}"}


def exercised(gateway: Running, label: str, mode: GenerationMode, checks: list[Any]) -> None:
    """Ask examples of one operation, and check every answer."""

    @given(case=OPERATIONS[label].as_strategy(mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=EXAMPLES < 10,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: schemathesis.Case) -> None:
        response = case.call(base_url=gateway.url, headers=HEADERS, timeout=120)
        case.validate_response(response, checks=checks)

    ask()


@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_what_the_document_allows_is_answered_as_it_says(gateway: Running, label: str) -> None:
    exercised(gateway, label, GenerationMode.POSITIVE, CHECKS)


CHECKED = sorted(label for label, one in OPERATIONS.items() if one.body or any(parameter for parameter in one.query))


@pytest.mark.parametrize("label", CHECKED)
def test_what_it_does_not_allow_is_refused(gateway: Running, label: str) -> None:
    # What is wrong with a query may be lost on its way (an empty list is no field); a body arrives as it was made.
    refusing = [negative_data_rejection] if OPERATIONS[label].body else []
    exercised(gateway, label, GenerationMode.NEGATIVE, [*CHECKS, *refusing])


def test_every_route_is_described_and_no_other() -> None:
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    routes = {(method, path.replace(":path", "")) for method, path in served() if method != "HEAD"}
    assert described == routes


def test_the_document_says_where_no_key_may_do() -> None:
    keyless = {
        path
        for path, methods in DOCUMENT["paths"].items()
        for one in methods.values()
        if one.get("security") in ([], [{"key": []}, {}])
    }
    assert keyless == {path for (_, path), entry in served().items() if entry.role is None}


def test_the_document_is_served_as_it_is_made(gateway: Running) -> None:
    answer = gateway.ask("GET", "/api/openapi.json")
    assert answer.json == DOCUMENT
    assert answer.json["openapi"].startswith("3.1")

"""The OpenAPI document of the gateway, made from the endpoints that are served and the types that they read and write.

The calls of programs (/v1) are told of in brief: their bodies are the providers' own, and are documented by them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

import msgspec
from msgspec import Struct

from bursar.gateway.admin.endpoint import Ask, Endpoint
from bursar.gateway.admin.shapes import ErrorBody

PATH = "/api/openapi.json"
REFERENCE = "#/components/schemas/{name}"
_VARIABLE = re.compile(r"\{(\w+)(?::path)?\}")
# What any request may be told, whatever it asks for: no key, too weak a key, and books that cannot be read or written.
_ALWAYS = {401: "No key that counts came with the request.", 403: "The key's role is too low.", 503: "Try again."}
# What programs call, and what watches: (path, method, role, what it does, the type of what is not JSON).
_PLANE = (
    ("/v1/chat/completions", "post", "call", "OpenAI's chat completions, to any provider.", "text/event-stream"),
    ("/v1/responses", "post", "call", "OpenAI's Responses, to providers that speak them.", "text/event-stream"),
    ("/v1/embeddings", "post", "call", "OpenAI's embeddings.", ""),
    ("/v1/messages", "post", "call", "Anthropic's Messages, to providers that speak them.", "text/event-stream"),
    ("/v1/messages/count_tokens", "post", "call", "How many tokens a message has, estimated here.", ""),
    ("/v1/models", "get", "call", "The models that the key may use, in OpenAI's form or in Anthropic's.", ""),
    ("/v1/models/{id}", "get", "call", "One of them.", ""),
    ("/health", "get", "view", "How the gateway is doing; all of it for a key of the role view.", ""),
    ("/health/live", "get", "", "Whether the process answers.", ""),
    ("/health/ready", "get", "", "Whether it takes calls.", ""),
    ("/metrics", "get", "view", "Figures for Prometheus; `gateway.metrics: open` asks for no key.", "text/plain"),
)


class Document(Struct, frozen=True):
    """An OpenAPI 3.1 document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]
    security: list[dict[str, list[str]]]


def describing(endpoints: Sequence[Endpoint]) -> Endpoint:
    """What serves the document of these endpoints, and of itself."""
    described: list[Endpoint] = []
    own = Endpoint("GET", PATH, "call", "This document.", partial(_show, described), Document)
    described += (*endpoints, own)
    return own


def _show(endpoints: Sequence[Endpoint], ask: Ask) -> Document:
    return document(endpoints)


def document(endpoints: Sequence[Endpoint]) -> Document:
    """The document of these endpoints."""
    types = [kind for one in endpoints for kind in (one.gives, one.takes, one.query) if kind is not None]
    _, schemas = msgspec.json.schema_components([*dict.fromkeys(types), ErrorBody], ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        paths.setdefault(_VARIABLE.sub(r"{\1}", one.path), {})[one.method.lower()] = _operation(one, schemas)
    for path, method, role, does, other in _PLANE:
        paths[path] = {method: _brief(path, method, role, does, other)}
    asked = {one.query.__name__ for one in endpoints if one.query is not None}
    return Document(
        "3.1.0",
        {
            "title": "Bursar's gateway",
            "version": version("bursar"),
            "description": "Keys, budgets, limits, prices, usage and the story of every call. Amounts are USD as "
            "decimal texts, moments are ISO 8601 in UTC.",
        },
        paths,
        {
            "schemas": {name: schema for name, schema in schemas.items() if name not in asked},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "sk-bursar-..."}},
        },
        [{"key": []}],
    )


def _operation(one: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": _name(one),
        "summary": one.does,
        "description": f"Needs a key of the role {one.role}. {inspect.getdoc(one.takes or one.query) or ''}".strip(),
        "tags": [one.path.split("/")[2]],
    }
    parameters = [*_path_parameters(one), *_query_parameters(one, schemas)]
    if parameters:
        told["parameters"] = parameters
    if one.takes is not None:
        needed = bool(schemas[one.takes.__name__].get("required"))
        told["requestBody"] = {"required": needed, "content": _json(one.takes.__name__)}
    told["responses"] = _responses(one)
    return told


def _name(one: Endpoint) -> str:
    words = [word for word in re.split(r"[/{}:.]+", one.path) if word not in {"", "api", "path"}]
    return "_".join([one.method.lower(), *words]).replace("-", "_")


def _path_parameters(one: Endpoint) -> Iterator[dict[str, Any]]:
    for variable in _VARIABLE.finditer(one.path):
        yield {"name": variable[1], "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _query_parameters(one: Endpoint, schemas: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if one.query is None:
        return
    schema = schemas[one.query.__name__]
    for name, kind in schema["properties"].items():
        # A query has no null: what may be null may be left away.
        plain = {key: value for key, value in kind.items() if key not in {"anyOf", "default"}}
        choices = [choice for choice in kind.get("anyOf", ()) if choice != {"type": "null"}]
        plain |= choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {}
        yield {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": plain}


def _responses(one: Endpoint) -> dict[str, Any]:
    told = {str(one.status): {"description": "Done.", "content": _json(one.gives.__name__)}}
    refusals = dict(_ALWAYS)
    if one.query is not None or one.takes is not None:
        refusals[400] = "What came cannot be read, or cannot be; the message says where."
    if one.takes is not None:
        refusals |= {413: "The body is too large.", 415: "The body is packed in a way that is not known."}
    if "{" in one.path:
        refusals[404] = "There is nothing of this name."
    if one.conflicts:
        refusals[409] = "It stands against what there is: a file defines it, a name is taken."
        refusals[400] = "What came cannot be read, or cannot be; the message says where."
    error = _json(ErrorBody.__name__)
    told |= {str(status): {"description": why, "content": error} for status, why in sorted(refusals.items())}
    return told


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REFERENCE.format(name=name)}}}


def _brief(path: str, method: str, role: str, does: str, other: str) -> dict[str, Any]:
    """An operation that is not of the admin API: open objects go in and out. other: a type beside JSON."""
    anything = {"application/json": {"schema": {"type": "object"}}}
    told: dict[str, Any] = {
        "operationId": "_".join([method, *re.findall(r"\w+", path)]),
        "summary": does,
        "tags": ["calls" if path.startswith("/v1/") else "health"],
        "responses": {
            "200": {
                "description": "Done. Of a call, headers that begin with x-bursar- say what it cost.",
                "content": anything | ({other: {"schema": {"type": "string"}}} if other else {}),
            },
            "4XX": {"description": "Refused: 402 where a budget is spent, 429 with Retry-After.", "content": anything},
            "5XX": {"description": "The provider failed, or the gateway is not ready.", "content": anything},
        },
    }
    if role == "call":
        told["description"] = "Needs a key of the role call."
    else:
        told["security"] = [{"key": []}, {}] if role else []
    if method == "post":
        told["requestBody"] = {"required": True, "content": anything}
    if "{id}" in path:
        told["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    return told

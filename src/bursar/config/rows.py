"""The catalog's rows as configuration needs them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """What a row says that configuration merges."""

    name: str
    base_url: str = ""
    key_variable: str = ""
    needs_key: bool = True
    base_url_variable: str = ""
    organization_variable: str = ""
    project_variable: str = ""
    max_connections: int = 100
    max_keepalive: int = 20
    keepalive_expiry: float = 5.0
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    write_timeout: float = 10.0
    pool_timeout: float = 10.0


def rows() -> dict[str, Row]:
    """Every row, by name."""
    return {row.name: row for row in _ROWS}


_ROWS = (
    Row("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", base_url_variable="OPENAI_BASE_URL",
        organization_variable="OPENAI_ORG_ID", project_variable="OPENAI_PROJECT_ID"),
    Row("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", max_connections=50, max_keepalive=10,
        keepalive_expiry=10.0),
    Row("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", base_url_variable="GROQ_BASE_URL"),
    Row("ollama", "http://localhost:11434/v1", needs_key=False),
    Row("vllm", "", needs_key=False),
)  # fmt: skip

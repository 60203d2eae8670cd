"""The body of POST messages as Anthropic takes it: every field known by name and type, and everything else refused.

Shapes only; what they must be to each other is in `messages_rules`. Source: Anthropic's API reference and its SDK's
types of 2026. Never looks at models or prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from bursar.sim.asks import ChatAsk, Message, Part
from bursar.sim.usage import TOKENS_PER_IMAGE, bytes_tokens, text_tokens


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An object that takes no field but its own."""


class CacheControl(Strict, frozen=True, kw_only=True):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class Marked(Strict, frozen=True, kw_only=True):
    """A block that may end a part of the prompt which is to be cached."""

    cache_control: CacheControl | None = None


class TextBlock(Marked, frozen=True, kw_only=True, tag="text"):
    text: str
    citations: Any = None

    def tokens(self) -> int:
        return text_tokens(self.text)


class ImageBlock(Marked, frozen=True, kw_only=True, tag="image"):
    source: dict[str, Any]

    def tokens(self) -> int:
        return TOKENS_PER_IMAGE


class DocumentBlock(Marked, frozen=True, kw_only=True, tag="document"):
    source: dict[str, Any]
    title: str | None = None
    context: str | None = None
    citations: Any = None

    def tokens(self) -> int:
        return text_tokens(str(self.source.get("data", ""))) + text_tokens(self.title or "")


ResultBlock: TypeAlias = TextBlock | ImageBlock | DocumentBlock


class ToolUseBlock(Marked, frozen=True, kw_only=True, tag="tool_use"):
    id: str
    name: str
    input: dict[str, Any]

    def tokens(self) -> int:
        return text_tokens(self.name) + bytes_tokens(len(msgspec.json.encode(self.input)))


class ToolResultBlock(Marked, frozen=True, kw_only=True, tag="tool_result"):
    tool_use_id: str
    content: str | list[ResultBlock] | None = None
    is_error: bool | None = None

    def tokens(self) -> int:
        if isinstance(self.content, str):
            return text_tokens(self.content)
        return sum(block.tokens() for block in self.content or ())

    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "".join(block.text for block in self.content or () if isinstance(block, TextBlock))


class ThinkingBlock(Strict, frozen=True, kw_only=True, tag="thinking"):
    thinking: str
    signature: str

    def tokens(self) -> int:
        return text_tokens(self.thinking)


class RedactedThinkingBlock(Strict, frozen=True, kw_only=True, tag="redacted_thinking"):
    data: str

    def tokens(self) -> int:
        return text_tokens(self.data)


class ServerToolUseBlock(Marked, frozen=True, kw_only=True, tag="server_tool_use"):
    id: str
    name: str
    input: Any

    def tokens(self) -> int:
        return text_tokens(self.name) + bytes_tokens(len(msgspec.json.encode(self.input)))


class SearchResultBlock(Marked, frozen=True, kw_only=True, tag="web_search_tool_result"):
    tool_use_id: str
    content: Any

    def tokens(self) -> int:
        return bytes_tokens(len(msgspec.json.encode(self.content)))


class CompactionBlock(Marked, frozen=True, kw_only=True, tag="compaction"):
    content: str | None

    def tokens(self) -> int:
        return text_tokens(self.content or "")


Block: TypeAlias = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | ToolUseBlock
    | ToolResultBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ServerToolUseBlock
    | SearchResultBlock
    | CompactionBlock
)


class Turn(Strict, frozen=True, kw_only=True):
    """One message of the conversation."""

    role: str
    content: str | list[Block]

    def blocks(self) -> list[Block]:
        if isinstance(self.content, str):
            return [TextBlock(text=self.content)] if self.content else []
        return self.content


class Thinking(Strict, frozen=True, kw_only=True):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = None
    display: str | None = None


class OfferedTool(msgspec.Struct, frozen=True):
    """A tool of the client's, or one of Anthropic's own, which is known by its dated type."""

    name: str
    type: str | None = None
    input_schema: dict[str, Any] | None = None
    cache_control: CacheControl | None = None

    @property
    def custom(self) -> bool:
        return self.type in (None, "custom")


class ToolChoice(Strict, frozen=True, kw_only=True):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class Metadata(Strict, frozen=True, kw_only=True):
    user_id: str | None = None


class CountAsk(Strict, frozen=True, kw_only=True):
    """The body of POST messages/count_tokens, and what POST messages has in common with it."""

    model: str
    messages: Sequence[Turn]
    system: str | list[TextBlock] = ""
    tools: list[msgspec.Raw] = []
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    context_management: dict[str, Any] | None = None
    mcp_servers: list[dict[str, Any]] = []
    output_config: dict[str, Any] | None = None
    cache_control: CacheControl | None = None

    @property
    def thinks(self) -> bool:
        return self.thinking is not None and self.thinking.type != "disabled"

    @property
    def compacts(self) -> bool:
        """Whether the client lets the provider sum up what is too long."""
        edits = (self.context_management or {}).get("edits")
        return isinstance(edits, list) and any(str(edit.get("type", "")).startswith("compact") for edit in edits)

    def system_blocks(self) -> list[TextBlock]:
        if isinstance(self.system, str):
            return [TextBlock(text=self.system)] if self.system else []
        return self.system

    def offered(self) -> list[OfferedTool]:
        return [msgspec.json.decode(raw, type=OfferedTool) for raw in self.tools]

    def searches(self) -> bool:
        """Whether the client lets the provider search the web."""
        return any((tool.type or "").startswith("web_search_") for tool in self.offered())


class MessageAsk(CountAsk, frozen=True, kw_only=True):
    """The body of POST messages."""

    max_tokens: int
    stream: bool = False
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] = []
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    inference_geo: str | None = None
    speed: Literal["standard", "fast"] | None = None
    container: Any = None

    def as_chat(self) -> ChatAsk:
        """The same ask in chat's shape, so far as the answer depends on it: roles, texts, tools."""
        messages = [Message("system", [Part("text", block.text) for block in self.system_blocks()])]
        for turn in self.messages:
            blocks = turn.blocks()
            results = [block.text() for block in blocks if isinstance(block, ToolResultBlock)]
            messages += [Message("tool", result) for result in results]
            texts = [block.text for block in blocks if isinstance(block, TextBlock)]
            if texts or not results:
                messages.append(Message(turn.role, [Part("text", text) for text in texts]))
        tools = [
            {"type": "function", "function": {"name": tool.name, "parameters": tool.input_schema}}
            for tool in self.offered()
            if tool.custom
        ]
        raw = msgspec.Raw(msgspec.json.encode(tools)) if tools else msgspec.Raw()
        return ChatAsk(self.model, messages, tools=raw, tool_choice=chat_choice(self.tool_choice))


def chat_choice(choice: ToolChoice | None) -> Any:
    """A tool choice as chat writes it."""
    if choice is None or choice.type == "auto":
        return None
    if choice.type == "tool":
        return {"type": "function", "function": {"name": choice.name}}
    return "required" if choice.type == "any" else "none"

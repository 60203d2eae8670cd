"""What the turns of a conversation must be, alone and to each other, for Anthropic to read it at all.

Who may say what; tool uses and their results; thought that comes back as it went out. Source as in `messages_rules`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from bursar.sim.failures import refuse
from bursar.sim.messages_ask import (
    Block,
    CompactionBlock,
    ImageBlock,
    RedactedThinkingBlock,
    SearchResultBlock,
    ServerToolUseBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
    Turn,
)

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]+")
_ASSISTANTS = (
    ToolUseBlock | ThinkingBlock | RedactedThinkingBlock | ServerToolUseBlock | SearchResultBlock | CompactionBlock
)
_USERS = ToolResultBlock | ImageBlock


def check_turn(turn: Turn, number: int, *, last: bool) -> None:
    if turn.role == "system":
        refuse(
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" '
            "as an input message role."
        )
    if turn.role not in ("user", "assistant"):
        refuse(f"messages.{number}.role: Input should be 'user' or 'assistant'")
    blocks = turn.blocks()
    if turn.content in ("", []) and not (last and turn.role == "assistant"):
        refuse(
            f"messages.{number}: all messages must have non-empty content except for the optional final assistant "
            "message"
        )
    for place, block in enumerate(blocks):
        where = f"messages.{number}.content.{place}"
        if isinstance(block, _USERS) and turn.role != "user":
            refuse(f"{where}: blocks of this type may not appear in assistant messages")
        if isinstance(block, _ASSISTANTS) and turn.role != "assistant":
            refuse(f"{where}: blocks of this type may only appear in assistant messages")
        check_block(block, where)
    final = blocks[-1] if last and turn.role == "assistant" and blocks else None
    if isinstance(final, TextBlock) and final.text != final.text.rstrip():
        refuse("messages: final assistant content cannot end with trailing whitespace")


def check_block(block: Block, where: str) -> None:
    if isinstance(block, TextBlock) and not block.text.strip():
        refuse("messages: text content blocks must be non-empty")
    if isinstance(block, ThinkingBlock) and block.signature != sign(block.thinking):
        refuse(f"{where}: Invalid `signature` in `thinking` block")
    if isinstance(block, ToolUseBlock) and not _TOOL_ID.fullmatch(block.id):
        refuse(f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if isinstance(block, ImageBlock):
        kind = block.source.get("type")
        if kind not in ("base64", "url", "file"):
            refuse(
                f"{where}.image.source: Input tag '{kind}' found using 'type' does not match any of the expected tags"
            )
        if kind == "base64" and block.source.get("media_type") not in IMAGE_TYPES:
            refuse(f"{where}.image.source.base64.media_type: Input should be {', '.join(IMAGE_TYPES)}")


def sign(thinking: str) -> str:
    """The signature of a thinking block: who changes the thought, or drops it, is found out."""
    return "sim-" + hashlib.blake2b(thinking.encode("utf-8", "surrogatepass"), digest_size=24).hexdigest()


def check_results(turns: Sequence[Turn]) -> None:
    """Each tool use has its result in the next message, before any other content there, and no result stands alone."""
    open_ids: list[str] = []
    seen: set[str] = set()
    for number, turn in enumerate(turns):
        blocks = turn.blocks()
        leading = 0
        while leading < len(blocks) and isinstance(blocks[leading], ToolResultBlock):
            leading += 1
        answered = [block.tool_use_id for block in blocks[:leading] if isinstance(block, ToolResultBlock)]
        for place, block in enumerate(blocks):
            if isinstance(block, ToolResultBlock) and (block.tool_use_id not in open_ids):
                refuse(
                    f"messages.{number}.content.{place}: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{block.tool_use_id}. Each `tool_result` block must have a corresponding `tool_use` block in the "
                    "previous message."
                )
        missing = [tool_id for tool_id in open_ids if tool_id not in answered]
        if missing:
            refuse(
                f"messages.{number - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
                "next message."
            )
        if len(set(answered)) != len(answered):
            refuse(f"messages.{number}: each tool_use must have a single result. Found multiple `tool_result` blocks")
        open_ids = [block.id for block in blocks if isinstance(block, ToolUseBlock)]
        if seen.intersection(open_ids) or len(set(open_ids)) != len(open_ids):
            refuse(f"messages.{number}: `tool_use` ids must be unique")
        seen.update(open_ids)
    if open_ids:
        refuse(
            f"messages.{len(turns) - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(open_ids)}."
        )

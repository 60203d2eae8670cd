"""Makes a llama model small enough to be made in a moment: random weights, a vocabulary of bytes and characters.

What it says is noise; what counts is that llama.cpp tokenises, samples, streams and reports usage as it does for any
model. The weights are seeded, so that greedy replies are the same from run to run.
"""

from __future__ import annotations

import string
from pathlib import Path

import numpy as np

CONTEXT_TOKENS = 4_096
WIDTH = 32
HEADS = 4
LAYERS = 2
FORWARD_WIDTH = 64

CONTROLS = ["<unk>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def vocabulary() -> tuple[list[str], list[float], list[int]]:
    """Tokens, scores and types of a SentencePiece vocabulary that can spell every byte string."""
    from gguf import TokenType

    raw = [f"<0x{byte:02X}>" for byte in range(256)]
    printable = ["\u2581", *(one for one in string.printable if one.isprintable() and one != " ")]
    kinds = [TokenType.UNKNOWN] + [TokenType.CONTROL] * (len(CONTROLS) - 1)
    kinds += [TokenType.BYTE] * len(raw) + [TokenType.NORMAL] * len(printable)
    tokens = CONTROLS + raw + printable
    return tokens, [-float(rank) for rank in range(len(tokens))], [int(kind) for kind in kinds]


def make(path: Path) -> None:
    """Write the model to `path`, about 180 KB of GGUF."""
    from gguf import GGUFWriter

    tokens, scores, kinds = vocabulary()
    writer = GGUFWriter(path, "llama")
    writer.add_name("tiny-random")
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FORWARD_WIDTH)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(CHAT_TEMPLATE)
    for name, weights in tensors(len(tokens)).items():
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tensors(token_count: int) -> dict[str, np.ndarray]:
    """The weights by llama.cpp's names."""
    random = np.random.default_rng(7)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return random.normal(0, 1 / np.sqrt(columns), (rows, columns)).astype(np.float32)

    ones = np.ones(WIDTH, dtype=np.float32)
    made = {"token_embd.weight": matrix(token_count, WIDTH), "output_norm.weight": ones}
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        made |= {f"{block}.{name}.weight": ones for name in ("attn_norm", "ffn_norm")}
        made |= {
            f"{block}.{name}.weight": matrix(WIDTH, WIDTH) for name in ("attn_q", "attn_k", "attn_v", "attn_output")
        }
        made |= {f"{block}.{name}.weight": matrix(FORWARD_WIDTH, WIDTH) for name in ("ffn_gate", "ffn_up")}
        made[f"{block}.ffn_down.weight"] = matrix(WIDTH, FORWARD_WIDTH)
    output = 8 * matrix(token_count, WIDTH)
    output[: len(CONTROLS) + 256] = 0  # neither controls nor raw bytes: every reply is printable and ends at its limit
    made["output.weight"] = output
    return made

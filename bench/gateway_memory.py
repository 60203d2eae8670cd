"""What the gateway holds in memory: for each of many streams that are open at once, and after very many calls.

    python -m bench.gateway_memory [--streams 2000] [--calls 200000] [--json]

The streams are opened against a provider that sends a chunk a second, so that all are open when memory is read. The
calls are whole replies, 64 in flight; growth is what is resident after all of them beside what was after the first
tenth. One worker, durable books, a key, three budgets and three limits, as in `gateway`.
"""

from __future__ import annotations

import asyncio
import resource
import tempfile
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from bench.gateway import body, bursar, load_on
from bench.load import Load, LoadProcess
from bench.peers import Served
from bench.report import arguments, show
from bench.upstream import upstream

# Every stream is a connection to us and one to the provider, in processes that share our limit.
FILES = 16_384
CHUNK_SECONDS = 1.0
CONNECTING = 100


async def open_streams(load: Load, streams: int, served: Served) -> dict[str, float]:
    """Open streams until each has said something; what the gateway's memory was before, and is with all of them."""
    parts = urlsplit(load.url)
    wire, slots = load.wire(), asyncio.Semaphore(CONNECTING)
    writers: list[asyncio.StreamWriter] = []

    async def begin() -> None:
        async with slots:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(wire)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 120)
            if b" 200 " not in head.partition(b"\r\n")[0]:
                raise RuntimeError(head.decode("latin-1"))
            await asyncio.wait_for(reader.readuntil(b"data: "), 120)
            writers.append(writer)

    before = served.memory_mb()
    await asyncio.gather(*(begin() for _ in range(streams)))
    after = served.memory_mb()
    for writer in writers:
        writer.close()
    return {
        "before_mb": round(before, 1),
        "open_mb": round(after, 1),
        "kib_a_stream": round((after - before) * 1024 / streams, 1),
    }


def grown(sender: LoadProcess, served: Served, calls: int) -> dict[str, float]:
    """Memory after a tenth of the calls and after all of them."""
    sender.run(load_on(served, stream=False, requests=calls // 10, in_flight=64))
    early = served.memory_mb()
    came = sender.run(load_on(served, stream=False, requests=calls - calls // 10, in_flight=64))
    late = served.memory_mb()
    if came.bad:
        raise RuntimeError(f"{came.bad} calls were refused: {came.example!r}")
    return {
        "calls": calls,
        "early_mb": round(early, 1),
        "late_mb": round(late, 1),
        "bytes_a_call": round((late - early) * 2**20 / (calls - calls // 10), 1),
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--streams", type=int, default=2_000)
    parser.add_argument("--calls", type=int, default=200_000)
    asked = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES if hard == resource.RLIM_INFINITY else min(FILES, hard), hard))
    figures: dict[str, dict[str, float]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd())))
        slow = stack.enter_context(upstream(600, seconds=CHUNK_SECONDS))
        with bursar(slow, folder, 1) as served:
            load = Load(served.url + served.path, body(stream=True), served.headers)
            figures["streams"] = asyncio.run(open_streams(load, asked.streams, served))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=Path.cwd())))
        fast = stack.enter_context(upstream(1, seconds=0))
        sender = stack.enter_context(LoadProcess())
        figures["calls"] = grown(sender, stack.enter_context(bursar(fast, folder, 1)), asked.calls)
    show("gateway_memory", figures, as_json=asked.json)


if __name__ == "__main__":
    main()

"""Two workers that speak as one: each alert is told once, and their counts are added up, those of the dead included."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.client.simulator import Sim
from tests.edges.hooks import Hook, hook
from tests.gateway.process import Served, children, served
from tests.gateway.running import ADMIN_KEY, SECRET, Answer, asked, write_config
from tests.gateway.test_serving import until
from tests.telemetry.exposition import read, value_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals of POSIX, and /proc")

PROMPT, PROVIDER_KEY, HOOK = "prompt-canary-1f", "sk-sim-canary-2e", "hook-canary-3d"
CALLS = 12


class Pair(NamedTuple):
    """A gateway of two workers, the address that its alerts are posted to, and the ids of all calls so far."""

    at: Served
    owner: Hook
    ids: set[str]

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        parts = urlsplit(self.at.url)
        answer = asked((parts.hostname or "", parts.port or 0), method, path, body)
        assert answer.status == 200, answer.body
        return answer

    def chat(self, calls: int) -> set[str]:
        """So many calls; their ids."""
        message = {"role": "user", "content": PROMPT}
        body = {"model": "openai/gpt-4o-mini", "messages": [message], "max_tokens": 20}
        ids = {self.ask("POST", "/v1/chat/completions", body).headers["x-bursar-call-id"] for _ in range(calls)}
        self.ids.update(ids)
        return ids

    def page(self) -> str:
        return self.ask("GET", "/metrics").body.decode()

    def answered(self) -> int:
        labels = {"provider": "openai", "model": "gpt-4o-mini", "outcome": "answered"}
        return int(value_of(self.page(), "bursar_calls_total", **labels))

    def lines(self, event: str) -> list[dict[str, Any]]:
        """What was logged of an event."""
        read_as: list[dict[str, Any]] = [json.loads(line) for line in list(self.at.said) if line.startswith("{")]
        return [line for line in read_as if line.get("event") == event]


@pytest.fixture(scope="module")
def pair(shared_sim: Sim, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder: Path = tmp_path_factory.mktemp("together")
    with hook() as owner:
        write_config(
            folder,
            shared_sim,
            {
                **shared_sim.config(openai={"api_key": PROVIDER_KEY, "log_costs": True}),
                "budgets": {"all": {"usd": "0.000010", "per": "total", "mode": "observe"}},
                "alerts": {"webhook": f"{owner.url}/{HOOK}"},
            },
        )
        with served(folder, "--workers", "2", "--log-format", "json") as at:
            made = Pair(at, owner, set())
            made.chat(CALLS)
            yield made


def test_of_all_workers_one_tells(pair: Pair) -> None:
    pair.owner.wait(4)
    until(lambda: len(pair.lines("alert")) >= 4)
    assert [told["threshold_percent"] for told in pair.owner.said] == [50, 80, 95, 100]
    assert [line["percent"] for line in pair.lines("alert")] == [50, 80, 95, 100]


def test_what_every_worker_counted_is_on_the_page_of_each(pair: Pair) -> None:
    until(lambda: pair.answered() == len(pair.ids))
    assert {pair.answered() for _ in range(10)} == {len(pair.ids)}, "whichever worker is asked"


def test_the_log_is_json_and_names_each_call(pair: Pair) -> None:
    ids = pair.chat(2)
    until(lambda: ids <= {line["call_id"] for line in pair.lines("call_ended")})
    for line in pair.lines("call_ended"):
        assert line["attempt_id"].startswith(line["call_id"])
        assert (line["key"], line["cost_usd"] > 0) == ("admin", True)
    for secret in (PROMPT, PROVIDER_KEY, HOOK, ADMIN_KEY, SECRET):
        assert [line for line in list(pair.at.said) if secret in line] == []


def test_a_worker_that_is_killed_still_counts(pair: Pair) -> None:
    until(lambda: pair.answered() == len(pair.ids))
    counts = total(pair.page())
    os.kill(next(filter(is_worker, children(pair.at.process.pid))), signal.SIGKILL)
    pair.at.wait_said("another is started")
    pair.chat(4)
    until(lambda: pair.answered() == len(pair.ids))
    for _ in range(10):
        now = total(pair.page())
        assert now >= counts, "a counter went back"
        counts = now
    until(lambda: value_of(pair.page(), "bursar_workers") == 2)
    assert pair.at.end() == 0


def is_worker(pid: int) -> bool:
    return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()


def total(page: str) -> Decimal:
    """All calls and buckets of calls together: of these nothing is lost with a worker that has shown them."""
    counted = ("bursar_calls_total", "bursar_attempts_total", "bursar_tokens_total", "bursar_duration_seconds_bucket")
    return sum((value for (name, _), value in read(page).items() if name in counted), Decimal(0))

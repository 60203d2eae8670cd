"""Signals that arrive while workers start: none of them ends a worker, and none is lost."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from bursar.edges import alerting, drain, inquiries, webhook
from bursar.gateway.supervising import GRACE_SECONDS
from tests.client.simulator import Sim
from tests.gateway.process import children, served
from tests.gateway.running import write_config
from tests.gateway.test_serving import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals of POSIX, and /proc")


def test_told_to_read_its_file_again_while_it_starts_a_worker_does_so_once_it_serves(tmp_path: Path, sim: Sim) -> None:
    write_config(tmp_path, sim)
    with served(tmp_path, "--workers", "2") as gateway:
        until(lambda: sum(is_worker(pid) for pid in children(gateway.process.pid)) == 2)
        gateway.tell(signal.SIGHUP)
        until(lambda: sum("was read again" in line for line in gateway.said) == 2)
        assert gateway.end() == 0
    assert not any("another is started" in line for line in gateway.said)


def test_told_to_stop_while_its_workers_start_it_ends_with_them(tmp_path: Path, sim: Sim) -> None:
    write_config(tmp_path, sim, {"gateway": {"stop_seconds": 0}})
    with served(tmp_path, "--workers", "2") as gateway:
        assert gateway.end() == 0
    assert not any("is killed" in line for line in gateway.said)


def is_worker(pid: int) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_a_worker_is_not_killed_for_what_its_end_may_take() -> None:
    ends = (drain.CLOSE_SECONDS, drain.CLOSE_SECONDS, 2 * inquiries.CLOSE_SECONDS,
            alerting.CLOSE_SECONDS, webhook.CLOSE_SECONDS)  # fmt: skip
    assert sum(ends) < GRACE_SECONDS

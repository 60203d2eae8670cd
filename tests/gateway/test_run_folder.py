"""The folder that workers share: whole files or none, nobody counted twice, and nothing lost of those that died."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from bursar.gateway import run_folder as module
from bursar.gateway.run_folder import VARIABLE, RunFolder, fold, run_folder
from bursar.telemetry.families import Family, Snapshot, added_up


def counted(value: int, worker: RunFolder, number: int = 1, **fields: Any) -> Snapshot:
    families = [Family("a_total", "counter", "A.", (), [((), value)]), Family("g", "gauge", "G.", (), [((), value)])]
    return Snapshot(worker.worker, 1_000, families, number=number, **fields)


def worker_of(folder: Path, pid: int) -> RunFolder:
    made = RunFolder(folder)
    made.worker = f"{pid}-{made.worker.partition('-')[2]}"
    return made


def total(snapshots: list[Snapshot]) -> object:
    families = {family.name: family for family in added_up(snapshots, 1_000, silent_ms=10)}
    return dict(families["a_total"].samples)[()] if "a_total" in families else None


def test_workers_see_each_other_and_not_themselves(tmp_path: Path) -> None:
    one, other = RunFolder(tmp_path), RunFolder(tmp_path)
    one.write(counted(1, one))
    other.write(counted(20, other))
    assert (total(one.others()), total(other.others())) == (20, 1)


def test_the_last_snapshot_counts_and_an_older_one_never_takes_its_place(tmp_path: Path) -> None:
    one, other = RunFolder(tmp_path), RunFolder(tmp_path)
    for value, number in ((1, 1), (5, 3), (3, 2)):
        one.write(counted(value, one, number))
    assert total(other.others()) == 5


def test_who_is_folded_is_counted_once_and_leaves_no_file(tmp_path: Path) -> None:
    dead, lives = worker_of(tmp_path, 11), worker_of(tmp_path, 110)
    dead.write(counted(7, dead))
    lives.write(counted(100, lives))
    fold(tmp_path, 11)
    fold(tmp_path, 11)
    reader = RunFolder(tmp_path)
    assert total(reader.others()) == 107
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([f"{lives.worker}.worker.json", "ended.json"])
    gauges = next(family for family in added_up(reader.others(), 1_000, silent_ms=10) if family.name == "g")
    assert gauges.samples == [((), 100)]


def test_many_that_died_leave_one_file(tmp_path: Path) -> None:
    for pid in range(30):
        dead = worker_of(tmp_path, pid)
        dead.write(counted(1, dead))
        fold(tmp_path, pid)
    assert [path.name for path in tmp_path.iterdir()] == ["ended.json"]
    assert total(RunFolder(tmp_path).others()) == 30


def test_a_fold_that_was_cut_short_counts_nobody_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = worker_of(tmp_path, 11)
    dead.write(counted(7, dead))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda self, missing_ok: None)
        fold(tmp_path, 11)
    assert len(list(tmp_path.iterdir())) == 2
    assert total(RunFolder(tmp_path).others()) == 7
    fold(tmp_path, 11)
    assert total(RunFolder(tmp_path).others()) == 7


def test_who_reads_while_others_are_folded_finds_each_once(tmp_path: Path) -> None:
    reader, ready, seen = RunFolder(tmp_path), threading.Event(), set()
    workers = [worker_of(tmp_path, pid) for pid in range(40)]
    for worker in workers:
        worker.write(counted(1, worker))

    def read() -> None:
        while not ready.is_set():
            seen.add(total(reader.others()))

    thread = threading.Thread(target=read)
    thread.start()
    for pid in range(40):
        fold(tmp_path, pid)
    ready.set()
    thread.join()
    assert seen <= {40}


def test_files_that_are_no_snapshots_are_passed_over(tmp_path: Path) -> None:
    for name, data in (("1-a.worker.json", b"{"), ("2-b.worker.json", b"[]"), ("ended.json", b"\xff"), ("x", b"")):
        (tmp_path / name).write_bytes(data)
    assert total(RunFolder(tmp_path).others()) is None


def test_a_folder_that_is_gone_is_no_matter(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gone = RunFolder(tmp_path / "gone")
    gone.write(counted(1, gone))
    assert total(gone.others()) is None
    fold(tmp_path / "gone", 1)
    assert "figures of this worker are not shared" in caplog.text


def test_what_is_remembered_of_the_dead_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOLDED_MAX", 3)
    for pid in range(6):
        dead = worker_of(tmp_path, pid)
        dead.write(counted(1, dead))
        fold(tmp_path, pid)
    assert (tmp_path / "ended.json").read_bytes().count(b"-") == 3


def test_a_worker_that_is_alone_has_no_folder(tmp_path: Path) -> None:
    assert run_folder({}) is None
    made = run_folder({VARIABLE: str(tmp_path)})
    assert made is not None
    assert (made.folder, made.worker.startswith(f"{os.getpid()}-")) == (tmp_path, True)

"""What is released is what stands in the tree."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.tidy.tree import ROOT, SOURCE, files


def test_the_wheel_is_the_tree_and_nothing_more(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
        described = [name.partition(".dist-info/")[2] for name in archive.namelist() if ".dist-info/" in name]
        points = archive.read(next(name for name in archive.namelist() if name.endswith("entry_points.txt"))).decode()
    tree = {
        path.relative_to(SOURCE.parent).as_posix(): path.read_bytes() for path in files() if path.is_relative_to(SOURCE)
    }
    assert packed.keys() == tree.keys()
    assert packed == tree
    assert {"bursar/py.typed", "bursar/catalog/vocabularies/o200k_base.tiktoken.gz"} <= packed.keys()
    assert {"licenses/LICENSE", "licenses/src/bursar/catalog/vocabularies/LICENSE"} <= set(described)
    assert "bursar = bursar.cli:main" in points

"""Which file systems cannot carry the books: those shared over a network, where locks and mapped memory do not hold.

Source: sqlite.org/wal.html, "all processes using a database must be on the same host computer".
"""

from __future__ import annotations

from pathlib import Path

from bursar.errors import StoreUnavailableError

MOUNTINFO = Path("/proc/self/mountinfo")
SHARED = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs"})


def refuse_shared(path: Path, mountinfo: Path = MOUNTINFO) -> None:
    """Raise StoreUnavailableError when `path` lies on a network file system; do nothing where that is not known."""
    try:
        text = mountinfo.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    kind = file_system_of(path.resolve(), text)
    if kind in SHARED:
        raise StoreUnavailableError(
            f"{path} is on {kind}, a network file system, which cannot keep the books safe: use a file on a local disk"
        )


def file_system_of(path: Path, mountinfo: str) -> str:
    """The type of the file system that a resolved path is on, "" when the table does not say.

    The table is that of proc(5): mount point in the fifth field, the type after a lone dash.
    """
    found, depth = "", -1
    for line in mountinfo.splitlines():
        fields = line.split()
        if "-" not in fields[6:]:
            continue
        point = Path(fields[4].encode().decode("unicode_escape"))
        # A later line on the same point hides an earlier one.
        if path.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = fields[fields.index("-", 6) + 1], len(point.parts)
    return found

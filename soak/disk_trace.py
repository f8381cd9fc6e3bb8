"""The changes that a program made to its disk, in order, read from a trace of system calls."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


_CALLS: Final = (
    "openat,open,creat,write,pwrite64,pwritev,fsync,fdatasync,ftruncate,truncate,fallocate,"
    "unlink,unlinkat,rename,renameat,renameat2,mkdir,mkdirat,rmdir,link,symlink,"
    "copy_file_range,sendfile"
)
_LINE: Final = re.compile(r"(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)(?:<.*>)?$")
_TEXT: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"|<((?:\\x[0-9a-f]{2})+)>')
_SIMPLE: Final = {
    "fsync": "sync",
    "fdatasync": "sync",
    "ftruncate": "truncate",
    "mkdir": "folder",
    "unlink": "remove",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call that may change what a disk holds.

    `what` is `write`, `sync`, `truncate`, `create`, `folder`, `remove`, `rename` or `link`. `at` is
    where a write begins, None for the end of the file; `data` what is written, `to` the new
    name, or `size` the new size.
    """

    what: str
    path: str
    at: int | None = None
    data: bytes = b""
    to: str = ""
    size: int = 0


def can_trace() -> bool:
    """Return whether system calls can be recorded here."""
    strace = shutil.which("strace")
    if strace is None:
        return False
    probe = [strace, "-o", "/dev/null", "-e", f"trace={_CALLS}", "true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def record(command: Sequence[str], cwd: Path, to: Path) -> list[Call]:
    """Run a program of one thread to its end and return its calls."""
    strace = ["strace", "-y", "-xx", "-s", "1000000", "-e", f"trace={_CALLS}", "-o", str(to)]
    subprocess.run([*strace, *command], cwd=cwd, check=True, timeout=300)
    with to.open(encoding="ascii") as file:
        return list(_calls(file))


def _calls(lines: Iterator[str]) -> Iterator[Call]:
    for line in lines:
        found = _LINE.match(line.rstrip("\n"))
        if found is None or int(found[3]) < 0:
            continue
        call = _call(found[1], found[2], int(found[3]))
        if call is not None:
            yield call


def _call(name: str, arguments: str, result: int) -> Call | None:
    texts = [_bytes(each[1] or each[2]) for each in _TEXT.finditer(arguments)]
    path, *more = [text.decode(errors="replace").removesuffix(" (deleted)") for text in texts]
    number = int(([0, *re.findall(r", (\d+)(?=,|$)", arguments)])[-1])
    if name == "openat":
        return Call("create", more[-1]) if "O_CREAT" in arguments else None
    if name in {"write", "pwrite64"}:
        at = None if name == "write" else number
        return Call("write", path, at=at, data=texts[1][:result])
    if name in {"rename", "link"}:
        return Call(name, path, to=more[0])
    if name not in _SIMPLE:
        raise AssertionError(f"a call that is not understood: {name}({arguments[:200]})")
    return Call(_SIMPLE[name], path, size=number)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))

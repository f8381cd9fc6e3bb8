"""A model of a disk at a power cut: synced data survives, and any part of the rest may.

It is stricter than any file system: data without a later fsync, and names without a later fsync
of their folder, may be lost, all or some of them, also half of a write.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

    from soak.disk_trace import Call


_SECTOR: Final = 512
"""The size of a sector, which a disk writes as a whole."""


@dataclass
class File:
    """A file: its content now, its content when it was last synced, and the calls since."""

    now: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    since: list[Call] = field(default_factory=list)


@dataclass
class Folder:
    """The names in a folder: now, when the folder was last synced, and all states in between."""

    now: dict[str, File | Folder] = field(default_factory=dict)
    states: list[dict[str, File | Folder]] = field(default_factory=lambda: [{}])


class Disk:
    """The files and folders below one folder."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._top = Folder()

    def play(self, call: Call) -> None:
        """Apply a call. Calls outside of the folder change nothing."""
        if not call.path.startswith(self._root + "/"):
            if call.path == self._root and call.what == "sync":
                self._top.states = [dict(self._top.now)]
            return
        match call.what:
            case "write" | "truncate":
                _change(self._file(call.path), call)
            case "sync":
                self._sync(call.path)
            case "create" | "folder":
                self._create(call)
            case "remove":
                folder, name = self._place(call.path)
                del folder.now[name]
                folder.states.append(dict(folder.now))
            case "rename" | "link":
                self._name_anew(call)

    def write_image(self, to: Path, random: Random | None) -> None:
        """Write what a power cut leaves now: synced data, or also a random part of the rest."""
        _write_folder(self._top, to, random)

    def _place(self, path: str) -> tuple[Folder, str]:
        *folders, name = PurePath(path).relative_to(self._root).parts
        folder = self._top
        for each in folders:
            inner = folder.now[each]
            assert isinstance(inner, Folder)
            folder = inner
        return folder, name

    def _file(self, path: str) -> File:
        folder, name = self._place(path)
        found = folder.now[name]
        assert isinstance(found, File)
        return found

    def _sync(self, path: str) -> None:
        folder, name = self._place(path)
        found = folder.now[name]
        if isinstance(found, Folder):
            found.states = [dict(found.now)]
        else:
            found.synced, found.since = bytes(found.now), []

    def _create(self, call: Call) -> None:
        folder, name = self._place(call.path)
        if name not in folder.now:
            folder.now[name] = File() if call.what == "create" else Folder()
            folder.states.append(dict(folder.now))

    def _name_anew(self, call: Call) -> None:
        (source, old), (target, new) = self._place(call.path), self._place(call.to)
        assert source is target, "names move within a folder only"
        source.now[new] = source.now[old]
        if call.what == "rename":
            del source.now[old]
        source.states.append(dict(source.now))


def _change(file: File, call: Call) -> None:
    file.since.append(_apply(file.now, call))


def _apply(content: bytearray, call: Call) -> Call:
    """Change a content; return the call with the place where it wrote."""
    if call.what == "truncate":
        del content[call.size :]
        content.extend(bytes(call.size - len(content)))
        return call
    at = len(content) if call.at is None else call.at
    content.extend(bytes(max(at - len(content), 0)))
    content[at : at + len(call.data)] = call.data
    return type(call)("write", call.path, at=at, data=call.data)


def _write_folder(folder: Folder, to: Path, random: Random | None) -> None:
    to.mkdir(mode=0o700)
    names = random.choice(folder.states) if random else folder.states[0]
    for name, found in names.items():
        if isinstance(found, Folder):
            _write_folder(found, to / name, random)
        else:
            (to / name).write_bytes(_content(found, random))
            (to / name).chmod(0o600)


def _content(file: File, random: Random | None) -> bytes:
    """Return the synced content with some of what was written since, sector by sector."""
    content = bytearray(file.synced)
    if random is None:
        return bytes(content)
    share = random.choice((0.1, 0.5, 0.9, 1.0))
    for call in file.since:
        if call.what == "truncate":
            if random.random() < share:
                _apply(content, call)
            continue
        at, end = call.at or 0, (call.at or 0) + len(call.data)
        while at < end:
            after = min((at // _SECTOR + 1) * _SECTOR, end)
            if random.random() < share:
                start = call.at or 0
                data = call.data[at - start : after - start]
                _apply(content, type(call)("write", call.path, at=at, data=data))
            at = after
    return bytes(content)

"""Which package imports which: read from the imports, reported with file and line."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


ROOT: Final = Path(__file__).resolve().parent.parent

MAY_KNOW: Final[dict[str, set[str]]] = {
    "domain": set(),
    "mail": {"domain"},
    "store": {"domain"},
    "projections": {"domain", "store"},
    "checker": {"domain", "mail", "store"},
    "alerting": {"domain", "mail", "store"},
    "api": {"domain", "store", "projections"},
    "web": {"domain", "store", "projections", "api"},
    "service": {"domain", "mail", "store", "projections", "checker", "alerting", "api", "web"},
    "cli": {
        *("domain", "mail", "store", "projections", "checker", "alerting", "api", "web"),
        "service",
    },
}
"""The other packages that each package may import."""

ROOMS: Final = sorted(name for name in MAY_KNOW if (ROOT / name).is_dir())
DATABASES: Final = {"sqlite3", "psycopg", "eventsourcing.sqlite", "eventsourcing.postgres"}
DATABASE_FOLDERS: Final = ("store/sqlite", "store/postgres", "projections/storage", "api/storage")
ONLY_IN: Final[dict[str, set[str]]] = {
    "falcon": {"api", "web", "service", "cli"},
    "trio": {"mail", "checker", "alerting", "service", "cli"},
}
NAMES_THEIR_ERRORS: Final = "store/ports/errors.py"
"""Lists sqlite3's errors among those of a store; opens nothing."""
DOMAIN_LIBRARIES: Final = {"eventsourcing", "orjson", "idna"}


class Import(NamedTuple):
    """One imported module, and where it is imported."""

    file: Path
    line: int
    module: str

    @property
    def room(self) -> str:
        """The package of the product that imports."""
        return self.file.relative_to(ROOT).parts[0]

    @property
    def top(self) -> str:
        """The library, or the package of the product, that is imported."""
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {self.module}"


def imports_of(source: str, file: Path) -> Iterator[Import]:
    """Yield every import of a file, also those for type checking and inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(file, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield Import(file, node.lineno, "(relative)")
            else:
                yield Import(file, node.lineno, node.module or "")
                for alias in node.names:
                    yield Import(file, node.lineno, f"{node.module}.{alias.name}")


def all_imports() -> list[Import]:
    found: list[Import] = []
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            found += imports_of(file.read_text(), file)
    return found


def against_the_direction(found: list[Import]) -> list[str]:
    """Return imports that go against the direction of dependencies."""
    known = set(MAY_KNOW) | {"tests", "soak", "benchmarks"}
    return [
        str(each)
        for each in found
        if each.top in known - {each.room} and each.top not in MAY_KNOW[each.room]
    ]


def outside_storage(found: list[Import]) -> list[str]:
    """Return imports of databases outside the folders that hold SQL."""
    return [
        str(each)
        for each in found
        if (each.module in DATABASES or each.top in DATABASES)
        and not str(each.file.relative_to(ROOT).parent).startswith(DATABASE_FOLDERS)
        and str(each.file.relative_to(ROOT)) != NAMES_THEIR_ERRORS
    ]


def unknown_to_domain(found: list[Import]) -> list[str]:
    """Return imports of `domain` that are neither its own, nor the standard library's."""
    allowed = {"domain", *DOMAIN_LIBRARIES, *sys.stdlib_module_names}
    return [str(each) for each in found if each.room == "domain" and each.top not in allowed]


def outside_their_room(found: list[Import]) -> list[str]:
    """Return imports of a framework outside the packages that may use it."""
    return [
        str(each) for each in found if each.top in ONLY_IN and each.room not in ONLY_IN[each.top]
    ]


@pytest.fixture(scope="module")
def imports() -> list[Import]:
    """Every import of every package of the product."""
    return all_imports()


def test_dependencies_go_one_way(imports: list[Import]) -> None:
    assert against_the_direction(imports) == []


def test_databases_are_known_to_storage_folders_only(imports: list[Import]) -> None:
    assert outside_storage(imports) == []


def test_domain_needs_the_standard_library_and_three_others(imports: list[Import]) -> None:
    assert unknown_to_domain(imports) == []


def test_frameworks_are_known_to_their_rooms_only(imports: list[Import]) -> None:
    assert outside_their_room(imports) == []


def test_imports_are_absolute(imports: list[Import]) -> None:
    assert [str(each) for each in imports if each.module == "(relative)"] == []


@pytest.mark.parametrize(
    ("file", "source", "said"),
    [
        ("domain/x.py", "\nimport projections.x", "domain/x.py:2 imports projections.x"),
        ("projections/x.py", "from api import app", "projections/x.py:1 imports api"),
        ("checker/x.py", "import projections", "checker/x.py:1 imports projections"),
        ("api/x.py", "def f():\n    import checker", "api/x.py:2 imports checker"),
        ("domain/x.py", "import tests.waiting", "domain/x.py:1 imports tests.waiting"),
        ("domain/x.py", "import sqlite3", "domain/x.py:1 imports sqlite3"),
        ("domain/x.py", "import trio", "domain/x.py:1 imports trio"),
        ("domain/storage/x.py", "import sqlite3", "domain/storage/x.py:1 imports sqlite3"),
        ("store/x.py", "import psycopg.errors", "store/x.py:1 imports psycopg.errors"),
        (
            "store/x.py",
            "from eventsourcing import sqlite",
            "store/x.py:1 imports eventsourcing.sqlite",
        ),
        ("mail/x.py", "from store import log_reader", "mail/x.py:1 imports store"),
        ("domain/x.py", "import cryptography", "domain/x.py:1 imports cryptography"),
        ("checker/x.py", "import falcon", "checker/x.py:1 imports falcon"),
        ("api/x.py", "import trio", "api/x.py:1 imports trio"),
    ],
)
def test_a_wrong_import_is_found_with_file_and_line(file: str, source: str, said: str) -> None:
    found = list(imports_of(source, ROOT / file))

    reports = [
        *against_the_direction(found),
        *outside_storage(found),
        *outside_their_room(found),
        *unknown_to_domain(found),
    ]

    assert said in reports


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("store/sqlite/x.py", "import sqlite3"),
        ("domain/x.py", "import idna, json, orjson"),
        ("api/x.py", "import falcon\nfrom projections.catalog import Views\nimport domain"),
        ("cli/demo/x.py", "import trio, api.app, checker.run"),
        ("checker/x.py", "from store import store\nfrom mail import prober"),
    ],
)
def test_a_right_import_is_not_reported(file: str, source: str) -> None:
    found = list(imports_of(source, ROOT / file))

    assert against_the_direction(found) == []
    assert outside_storage(found) == []
    assert outside_their_room(found) == []


# Imports every module of a folder's packages and reports what that opened, with the line
# of ours that did it. What a library does while it is imported is its own affair.
OPENING: Final = '''
import importlib, sys, threading
from pathlib import Path

root, packages = Path(sys.argv[1]), sys.argv[2:]
sys.path.insert(0, str(root))
WATCHED = {"sqlite3.connect", "socket.connect", "socket.bind", "subprocess.Popen", "os.mkdir"}
reported = []


def place():
    """Return the line of ours that is running, unless a library or the importer is nearer."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith("<frozen importlib") or "site-packages" in name:
            return None
        if any(name.startswith(f"{root}/{package}/") for package in packages):
            return f"{Path(name).relative_to(root)}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def watch(event, arguments):
    opens = event == "open" and not str(arguments[0]).endswith((".py", ".pyc"))
    if event in WATCHED or opens:
        where = place()
        if where is not None:
            reported.append(f"{where} {event}")


sys.addaudithook(watch)
for package in packages:
    for file in sorted((root / package).rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        if parts[-1] == "__main__":
            continue
        before = threading.active_count()
        importlib.import_module(".".join(parts).removesuffix(".__init__"))
        if threading.active_count() != before:
            reported.append(f"{file.relative_to(root)}: starts a thread")
print("\\n".join(reported))
'''


def opened_by_importing(root: Path, packages: list[str]) -> list[str]:
    """Import every module in a new interpreter; return what was opened, with file and line."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", OPENING, str(root), *packages],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=root,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


@pytest.mark.parametrize(
    "room",
    ROOMS,
)
def test_importing_any_module_opens_and_starts_nothing(room: str) -> None:
    assert opened_by_importing(ROOT, [room]) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import sqlite3; C = sqlite3.connect(':memory:')", "sqlite3.connect"),
        ("import subprocess; P = subprocess.run(['true'])", "subprocess.Popen"),
        ("import socket; S = socket.create_server(('127.0.0.1', 0)).close()", "socket.bind"),
        ("from pathlib import Path; Path('made.txt').write_text('x')", "open"),
        ("from pathlib import Path; Path('folder').mkdir()", "os.mkdir"),
    ],
)
def test_a_module_that_opens_something_is_found_with_file_and_line(
    tmp_path: Path, line: str, said: str
) -> None:
    (tmp_path / "domain").mkdir()
    (tmp_path / "domain" / "__init__.py").write_text("")
    (tmp_path / "domain" / "bad.py").write_text(f'"""A module."""\n{line}\n')

    assert f"domain/bad.py:2 {said}" in opened_by_importing(tmp_path, ["domain"])


def test_a_module_that_starts_a_thread_is_found(tmp_path: Path) -> None:
    (tmp_path / "domain").mkdir()
    (tmp_path / "domain" / "__init__.py").write_text("")
    (tmp_path / "domain" / "bad.py").write_text(
        "import threading\nE = threading.Event()\n"
        "threading.Thread(target=E.wait, daemon=True).start()\n"
    )

    assert opened_by_importing(tmp_path, ["domain"]) == ["domain/bad.py: starts a thread"]

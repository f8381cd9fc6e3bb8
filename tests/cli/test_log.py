"""`postwatch log`: heads, proofs, verification, and the script of docs/proof.md."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from cli.main import main
from store.proof.merkle import is_consistent
from store.proof.tree_heads import VerifyingKey, parse_head
from tests.domain.given import make_owners
from tests.places import Place
from tests.store.proof_store import TamperedLog

if TYPE_CHECKING:
    from click.testing import Result

    from store.store import Store


DOCUMENT = Path(__file__).parents[2] / "docs" / "proof.md"
SCRIPT, ROOT_SCRIPT = re.findall(r"(?ms)^```python\n(.*?)^```$", DOCUMENT.read_text())


class Commands:
    """Runs `postwatch` on a store, in this process."""

    def __init__(self, store: Store, place: Place) -> None:
        self.place = place
        self.checks = TamperedLog(store)

    def __call__(self, *arguments: str) -> Result:
        """Run a command to its end."""
        env = self.place.environment
        return CliRunner().invoke(main, arguments, env=env, catch_exceptions=False)

    def json(self, *arguments: str) -> Any:  # noqa: ANN401 - any JSON
        """Return what a command prints as JSON."""
        result = self(*arguments)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def run(store: Store, place: Place) -> Commands:
    """A store with 300 checks and no head."""
    commands = Commands(store, place)
    commands.checks.fill(300)
    return commands


def test_a_head_is_signed_when_it_is_asked_for(run: Commands) -> None:
    assert run.json("log", "head", "checks", "--json") == []

    [head] = run.json("log", "head", "checks", "--now", "--json")
    [line] = run("log", "head", "checks", "--now", "--ndjson").stdout.splitlines()

    key = VerifyingKey.from_hex(run("log", "public-key").stdout)
    assert json.loads(line) == head
    assert (head["log"], head["size"], head["position"], head["keyId"]) == (
        "checks",
        300,
        300,
        key.key_id,
    )
    assert key.signed(parse_head(line.encode()))
    assert head["rootHash"] in run("log", "head", "checks").stdout


def test_heads_are_shown_newest_first_and_printed_to_keep_oldest_first(run: Commands) -> None:
    for _ in range(3):
        run.checks.fill(1)
        run("log", "head", "checks", "--now")

    shown = run.json("log", "head", "checks", "--count", "2", "--json")
    kept = run("log", "head", "checks", "--count", "2", "--ndjson").stdout.splitlines()

    assert [each["size"] for each in shown] == [303, 302]
    assert [json.loads(each)["size"] for each in kept] == [302, 303]


def test_the_public_key_is_the_same_in_every_form(run: Commands) -> None:
    shown = run.json("log", "public-key", "--json")

    assert shown["algorithm"] == "Ed25519"
    assert run("log", "public-key").stdout == shown["publicKey"] + "\n"
    assert run("log", "public-key", "--pem").stdout == shown["pem"]
    assert shown["pem"].startswith("-----BEGIN PUBLIC KEY-----\n")


def test_verify_says_what_it_looked_at(run: Commands) -> None:
    run("log", "head", "checks", "--now")

    both = run("log", "verify")
    [report] = run.json("log", "verify", "checks", "--json")

    assert both.exit_code == 0
    assert "checks: 300 events up to position 300 and 1 signed heads are as" in both.stdout
    assert "monitoring: 0 events" in both.stdout
    assert (report["ok"], report["events"], report["heads"], report["findings"]) == (
        True,
        300,
        1,
        [],
    )


def test_verify_ends_with_a_code_of_its_own_and_names_the_position(run: Commands) -> None:
    run("log", "head", "checks", "--now")
    run.checks.sql("UPDATE {events} SET state = ? WHERE {position} = 123", b"{}")

    said = run("log", "verify")
    found = json.loads(run("log", "verify", "checks", "--json").stdout)

    assert said.exit_code == 8
    assert "  altered: the event of position 123 was altered\n" in said.stdout
    assert found[0]["ok"] is False
    assert found[0]["findings"] == [
        {
            "kind": "altered",
            "position": 123,
            "through": 123,
            "line": None,
            "message": "the event of position 123 was altered",
        }
    ]


def test_verify_takes_heads_and_a_key_that_were_kept_elsewhere(
    run: Commands, tmp_path: Path
) -> None:
    kept, key = tmp_path / "kept", run("log", "public-key").stdout.strip()
    kept.write_text(run("log", "head", "checks", "--now", "--ndjson").stdout)
    run.checks.lose_tree()
    run.checks.put_heads([])
    run.checks.sql("DELETE FROM {events} WHERE {position} > 200")

    assert run("log", "verify", "checks").exit_code == 0
    done = run("log", "verify", "checks", "--heads", str(kept), "--public-key", key)
    assert done.exit_code == 8
    assert "position 201 to 300 were removed" in done.stdout
    other = run("log", "verify", "checks", "--heads", str(kept), "--public-key", "00" * 32)
    assert other.exit_code == 8
    assert "signed by key" in other.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("verify", "nonsense"), 2, "nonsense"),
        (("verify", "--heads", __file__), 2, "--heads belongs to one log"),
        (("verify", "--public-key", "xyz"), 1, "64 hexadecimal digits"),
        (("prove", "inclusion", "301", "--log", "checks"), 1, "no event at position 301"),
        (("prove", "inclusion", "0"), 2, "0"),
        (("prove", "inclusion", "1"), 1, "tree of monitoring has no event at position 1"),
        (("prove", "consistency", "1"), 1, "the log monitoring has no signed head yet"),
        (("prove", "consistency", "301", "--log", "checks"), 1, "no consistency proof from 301"),
        (("prove", "consistency", "1", "999", "--log", "checks"), 1, "has 300 events, not 999"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    run: Commands, arguments: tuple[str, ...], code: int, says: str
) -> None:
    result = run("log", *arguments)

    assert result.exit_code == code
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_a_proof_of_a_changed_event_is_refused(run: Commands) -> None:
    run("log", "head", "checks", "--now")
    run.checks.sql("UPDATE {events} SET state = ? WHERE {position} = 5", b"{}")
    run.checks.sql("DELETE FROM {events} WHERE {position} = 6")

    for position, says in (("5", "is not the one in the tree"), ("6", "is gone")):
        result = run("log", "prove", "inclusion", position, "--log", "checks")
        assert result.exit_code == 8
        assert says in result.stderr


def test_consistency_is_proven_between_any_two_sizes(run: Commands) -> None:
    proof = run.json("log", "prove", "consistency", "7", "300", "--log", "checks")

    first, second = (bytes.fromhex(proof[name]) for name in ("firstRootHash", "secondRootHash"))
    assert is_consistent(7, 300, first, second, [bytes.fromhex(each) for each in proof["path"]])


@pytest.fixture
def files(run: Commands, tmp_path: Path) -> dict[str, Path]:
    """The files that the script takes: three proofs about 300 and then 777 events."""
    made = {name: tmp_path / f"{name}.json" for name in ("proof", "kept", "grown")}
    made["kept"].write_text(run("log", "head", "checks", "--now", "--ndjson").stdout)
    run.checks.fill(477)
    made["proof"].write_text(run("log", "prove", "inclusion", "700", "--log", "checks").stdout)
    made["grown"].write_text(run("log", "prove", "consistency", "300", "--log", "checks").stdout)
    return made


def check(run: Commands, files: dict[str, Path], key: str = "") -> subprocess.CompletedProcess[str]:
    """Run the script of the document, far from our code."""
    key = key or run("log", "public-key").stdout.strip()
    return subprocess.run(
        [sys.executable, "-I", "-c", SCRIPT, key, *map(str, files.values())],
        cwd=files["proof"].parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_script_of_the_document_checks_all_three(run: Commands, files: dict[str, Path]) -> None:
    done = check(run, files)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the event is in the log, and the log only grew\n"
    code = [line for line in SCRIPT.splitlines() if line.strip()]
    assert len(code) < 35
    assert "postwatch" not in re.sub(r'"[^"]*"', "", SCRIPT)


@pytest.mark.parametrize("old", [1, 2, 3, 255, 256, 257, 299])
def test_the_script_takes_every_shape_of_tree(run: Commands, tmp_path: Path, old: int) -> None:
    # A head of an earlier size, as if it had been signed then.
    proof = run.json("log", "prove", "consistency", str(old), "300", "--log", "checks")
    head = run.checks.sign_as_of(old, bytes.fromhex(proof["firstRootHash"]))
    files = {name: tmp_path / name for name in ("proof", "kept", "grown")}
    files["kept"].write_text(json.dumps(head.as_json()))
    files["grown"].write_text(json.dumps(proof))
    position = str(old)
    files["proof"].write_text(run("log", "prove", "inclusion", position, "--log", "checks").stdout)

    assert check(run, files).returncode == 0


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("proof", {"leafIndex": 698}, "not in the log"),
        ("proof", {"path": ["00" * 32] * 10}, "not in the log"),
        ("proof", {"event": {"state": "{}"}}, "not in the log"),
        ("proof", {"event": {"position": 701}}, "not in the log"),
        ("proof", {"head": {"size": 776}}, "InvalidSignature"),
        ("kept", {"rootHash": "00" * 32}, "InvalidSignature"),
        ("kept", {"time": "2026-01-01T00:00:00.000Z"}, "InvalidSignature"),
        ("grown", {"path": []}, "IndexError"),
        ("grown", {"path": ["00" * 32] * 9}, "changed since"),
        ("grown", {"path": ["00" * 32]}, "does not end at the root"),
    ],
)
def test_the_script_refuses_what_was_changed(
    run: Commands, files: dict[str, Path], name: str, change: dict[str, Any], says: str
) -> None:
    content = json.loads(files[name].read_text())
    for key, value in change.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    files[name].write_text(json.dumps(content))

    done = check(run, files)

    assert done.returncode != 0
    assert says in done.stderr


def test_the_script_refuses_another_key(run: Commands, files: dict[str, Path]) -> None:
    done = check(run, files, key="d7" * 32)

    assert done.returncode != 0
    assert "InvalidSignature" in done.stderr


@pytest.mark.parametrize("size", [1, 6, 7])
def test_the_root_comes_out_of_an_export_by_the_other_script(
    run: Commands, tmp_path: Path, size: int
) -> None:
    make_owners(run.checks.store)
    make_owners(run.checks.store, "Another")
    run("log", "head", "monitoring", "--now")
    assert run("log", "export", str(tmp_path / "export")).exit_code == 0

    done = subprocess.run(
        [sys.executable, "-I", "-c", ROOT_SCRIPT, tmp_path / "export", "monitoring", str(size)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    proof = run.json("log", "prove", "consistency", str(size))
    assert (done.stdout, done.stderr) == (proof["firstRootHash"] + "\n", "")


def test_kept_heads_hold_for_an_imported_store(run: Commands, store: Store, tmp_path: Path) -> None:
    make_owners(store)
    kept, key_file = tmp_path / "kept", store.folder.master_key
    kept.write_text(run("log", "head", "monitoring", "--now", "--ndjson").stdout)
    assert run("log", "export", str(tmp_path / "export")).exit_code == 0
    run.place = Place(tmp_path / "again")

    imported = run("log", "import", str(tmp_path / "export"), "--master-key-file", str(key_file))

    assert imported.exit_code == 0, imported.output
    done = run("log", "verify", "monitoring", "--heads", str(kept), "--json")
    [report] = json.loads(done.stdout)
    assert (report["ok"], report["heads"], report["events"]) == (True, 1, 4)

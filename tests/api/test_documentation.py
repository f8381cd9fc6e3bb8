"""The page that shows the document: served by the API alone, enforced by a security policy."""

from __future__ import annotations

import gzip
import json
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from api.resources.documentation import FILES, PAGE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.api.world import World


VENDORED = PAGE.parent / "swagger-ui"
MANIFEST = json.loads((VENDORED / "manifest.json").read_text())


def test_the_vendored_files_are_those_of_the_manifest() -> None:
    hashes = {
        path.name: sha256(path.read_bytes()).hexdigest()
        for path in VENDORED.iterdir()
        if path.suffix != ".gz" and path.name != "manifest.json"
    }
    assert hashes == MANIFEST["sha256"]
    assert {"LICENSE", "NOTICE"} <= hashes.keys()


@pytest.mark.parametrize("path", sorted(VENDORED.glob("*.gz")), ids=lambda path: path.name)
def test_a_compressed_twin_holds_the_same(path: Path) -> None:
    assert gzip.decompress(path.read_bytes()) == path.with_suffix("").read_bytes()


def test_the_large_files_have_a_compressed_twin() -> None:
    large = [path for path in FILES.values() if path.stat().st_size > 50_000]
    assert len(large) == 2
    assert all(path.with_name(path.name + ".gz").exists() for path in large)


def test_the_page_asks_for_our_own_files_only(world: World) -> None:
    page = world.caller("nobody").get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "://" not in page.text
    assert "<style" not in page.text
    for name in FILES:
        assert name.startswith("swagger") or f"/docs/{name}" in page.text


def test_the_policy_of_the_page_is_strict(world: World) -> None:
    headers = world.caller("nobody").get("/docs").headers
    policy = headers["content-security-policy"].split("; ")
    assert {
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
    } <= set(policy)
    assert "unsafe" not in headers["content-security-policy"]


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_served_plain_and_compressed(world: World, name: str) -> None:
    caller = world.caller("nobody")
    plain = caller.get(f"/docs/{name}")
    packed = caller.send("GET", f"/docs/{name}", "", {"Accept-Encoding": "gzip"})
    assert plain.content == FILES[name].read_bytes()
    assert gzip.decompress(packed.content) == plain.content
    assert packed.headers["etag"] == plain.headers["etag"]


def test_another_file_is_not_there(world: World) -> None:
    caller = world.caller("nobody")
    for name in ("manifest.json", "..%2Fdocs.html", "docs.html"):
        assert caller.get(f"/docs/{name}").status_code == 404

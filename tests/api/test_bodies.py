"""Bodies that are refused before their fields are read: size, length, type, syntax."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest

from api.http.body import MAX_BYTES
from tests.api.world import PATHS, SMTP, path_of

if TYPE_CHECKING:
    from falcon.testing import Result

    from tests.api.world import Caller, World


pytestmark = pytest.mark.any_engine

MALFORMED: Final = {
    "empty": b"",
    "blanks": b" \n ",
    "cut": b'{"name": "x"',
    "two values": b"{} {}",
    "single quotes": b"{'name': 'x'}",
    "comma at the end": b'{"name": "x",}',
    "comment": b"{} // no",
    "byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "no UTF-8": b'{"name": "\xff"}',
    "overlong UTF-8": b'{"name": "\xc0\xaf"}',
    "control character": b'{"name": "a\x01b"}',
    "lone surrogate": b'{"name": "\\ud800"}',
    "lone surrogate as key": b'{"\\udfff": 1}',
    "surrogates swapped": b'{"smtpConfig": {"x": "\\udc00\\ud800"}}',
    "NaN": b'{"checkInterval": NaN}',
    "Infinity": b'{"checkInterval": Infinity}',
    "float beyond all bounds": b'{"checkInterval": 1e999}',
    "negative float beyond all bounds": b'{"smtpConfig": {"x": -1e400}}',
    "whole number beyond 64 bits": b'{"smtpConfig": {"x": 9223372036854775808}}',
    "negative number beyond 64 bits": b'{"smtpConfig": {"x": -9223372036854775809}}',
    "number of 5000 digits": b'{"port": ' + b"9" * 5000 + b"}",
    "negative number of 5000 digits": b'{"port": -' + b"9" * 5000 + b"}",
    "the same key twice": b'{"name": "a", "name": "b"}',
    "the same key twice, spelled otherwise": b'{"name": "a", "n\\u0061me": "b"}',
    "the same key twice, deep": b'{"smtpConfig": {"auth": {"user": "a", "user": "a"}}}',
    "a list": b"[]",
    "a string": b'"name"',
    "a number": b"5",
    "null": b"null",
}
KINDS = ["smtp", "imap_pop"]


def assert_malformed(answer: Result) -> None:
    assert answer.status_code == 400
    assert [(each["path"], each["code"]) for each in answer.json["errors"]] == [("", "malformed")]


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("kind", KINDS)
def test_a_malformed_body_is_400_on_create_and_on_patch(
    world: World, admin: Caller, kind: str, data: bytes
) -> None:
    path = path_of(world.monitor(kind))
    before = admin.get(path).json

    assert_malformed(admin.send("POST", PATHS[kind], data))
    assert_malformed(admin.send("PATCH", path, data))

    assert admin.get(path).json == before


@pytest.mark.parametrize("depth", [9, 100, 900, 985, 1024, 5000])
@pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ("[", "]")])
def test_a_deeply_nested_body_is_400_wherever_the_nesting_stands(
    world: World, admin: Caller, depth: int, opening: str, closing: str
) -> None:
    path = path_of(world.monitor())
    nested = f"{opening * depth}1{closing * depth}"

    for body in (
        nested,
        f'{{"name": {nested}}}',
        f'{{"allowedCheckCountryCodes": {nested}}}',
        f'{{"smtpConfig": {nested}}}',
        f'{{"smtpConfig": {{"x": {nested}}}, "config": {{"x": {nested}}}}}',
        f'{{"unknown": {nested}}}',
    ):
        assert admin.send("PATCH", path, body).status_code == 400


@pytest.mark.parametrize(
    "number", ["9223372036854775807", "-9223372036854775808", "-1000000000000000000", "-0", "1e22"]
)
def test_a_number_of_64_bits_comes_back_exactly(world: World, admin: Caller, number: str) -> None:
    path = path_of(world.monitor())

    answer = admin.send("PATCH", path, f'{{"smtpConfig": {{"x": {number}}}}}')

    assert answer.status_code == 200
    assert admin.get(path).json["config"]["x"] == json.loads(number)


def test_keys_and_texts_of_any_script_come_back_exactly(world: World, admin: Caller) -> None:
    path = path_of(world.monitor())
    config = {"schlüssel": "wért", "鍵": "🔑", "": "", "\u2028": "\x7f", "a\u0000b": "\u0000"}

    answer = admin.patch(path, {"smtpConfig": config})

    assert answer.json["smtpConfig"] == config
    assert admin.get(path).json["smtpConfig"] == config


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_above_64_kib_is_413(world: World, admin: Caller, kind: str) -> None:
    padding = " " * (MAX_BYTES - len('{"status": "disabled"}'))
    path = path_of(world.monitor(kind))

    fits = admin.send("PATCH", path, '{"status": "disabled"}' + padding)
    too_large = admin.send("PATCH", path, '{"status": "disabled"} ' + padding)
    create = admin.send("POST", PATHS[kind], "x" * (MAX_BYTES + 1))

    assert fits.status_code == 200
    assert (too_large.status_code, create.status_code) == (413, 413)


@pytest.mark.parametrize(("coding", "status"), [("gzip", 415), ("IDENTITY", 400)])
def test_a_compressed_body_is_415(admin: Caller, coding: str, status: int) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}

    assert admin.send("POST", SMTP, "{}", headers).status_code == status


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/merge-patch+json", "json", ""],
)
def test_another_content_type_is_415(admin: Caller, content_type: str) -> None:
    answer = admin.send("POST", SMTP, "{}", {"Content-Type": content_type})

    assert answer.status_code == 415


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"],
)
def test_json_is_recognized_in_every_spelling(
    world: World, admin: Caller, content_type: str
) -> None:
    path = path_of(world.monitor())

    assert admin.send("PATCH", path, "{}", {"Content-Type": content_type}).status_code == 200

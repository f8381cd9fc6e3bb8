"""Keys of passwords are derived once, beside the loop."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import trio

from mail.password_keys import PasswordKeys
from mail.protocols.dialogue import DeriveKey

ASKED = DeriveKey("sha256", b"pencil", b"salt", 1000)


async def test_a_key_is_that_of_pbkdf2() -> None:
    key = await PasswordKeys().derive(ASKED)

    assert key == hashlib.pbkdf2_hmac("sha256", b"pencil", b"salt", 1000)


async def test_a_key_is_derived_once() -> None:
    keys = PasswordKeys()
    first = await keys.derive(ASKED)

    # The same object: it was not computed again.
    assert await keys.derive(ASKED) is first
    assert await keys.derive(replace(ASKED, salt=b"other")) != first


async def test_the_oldest_key_goes_first() -> None:
    keys = PasswordKeys(most_keys=2)
    first = await keys.derive(ASKED)
    other = await keys.derive(replace(ASKED, salt=b"1"))
    await keys.derive(ASKED)
    await keys.derive(replace(ASKED, salt=b"2"))

    assert await keys.derive(ASKED) is first
    assert await keys.derive(replace(ASKED, salt=b"1")) is not other


async def test_a_server_that_asks_for_much_work_does_not_hold_up_the_loop() -> None:
    turns = 0
    done = trio.Event()

    async def count() -> None:
        nonlocal turns
        while not done.is_set():
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await PasswordKeys().derive(replace(ASKED, iterations=300_000))
        done.set()

    # Without a thread this would be one turn or two.
    assert turns > 100


def test_a_password_is_not_in_the_text_of_its_request() -> None:
    assert "pencil" not in repr(ASKED)

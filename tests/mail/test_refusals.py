"""The table of what a refused login means: the code, its examples, and the document."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.check import Category
from mail.protocols import PROTOCOLS
from mail.protocols.refusals import CODES, PHRASES, CodeRule, Meaning, PhraseRule, read_refusal

DOCUMENT = (Path(__file__).parents[2] / "docs" / "checks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("rule", PHRASES, ids=lambda rule: rule.phrase)
def test_a_phrase_decides_what_its_example_means(rule: PhraseRule) -> None:
    assert rule.phrase == rule.phrase.lower()
    assert rule.phrase in rule.example.lower()

    refusal = read_refusal("pop3", b"", rule.example.encode(), encrypted=False)

    assert (refusal.meaning, refusal.is_known) == (rule.meaning, True)


@pytest.mark.parametrize("rule", PHRASES, ids=lambda rule: rule.phrase)
def test_a_phrase_is_in_the_document(rule: PhraseRule) -> None:
    assert f"| `{rule.phrase}` | {rule.meaning} | `{rule.example}` |" in DOCUMENT


def test_each_phrase_is_in_the_table_once() -> None:
    phrases = [rule.phrase for rule in PHRASES]
    assert len(set(phrases)) == len(phrases)
    assert len({(rule.protocol, rule.code) for rule in CODES}) == len(CODES)
    assert {rule.protocol for rule in CODES} == PROTOCOLS.keys()


@pytest.mark.parametrize("rule", CODES, ids=lambda rule: f"{rule.protocol} {rule.code}")
def test_a_code_has_its_meaning(rule: CodeRule) -> None:
    code = rule.code.encode()

    assert read_refusal(rule.protocol, code, b"no", encrypted=True).meaning is rule.meaning
    shown = "4xx" if rule.code == "4" else rule.code
    assert f"| {rule.protocol} | `{shown}` | {rule.meaning} |" in DOCUMENT


@pytest.mark.parametrize("rule", CODES, ids=lambda rule: f"{rule.protocol} {rule.code}")
def test_a_phrase_changes_the_meaning_of_a_code_only_where_the_table_says_so(
    rule: CodeRule,
) -> None:
    code = rule.code.encode()
    for phrase in PHRASES:
        words = phrase.example.encode()
        meaning = read_refusal(rule.protocol, code, words, encrypted=False).meaning
        expected = phrase.meaning if phrase.meaning in rule.unless else rule.meaning
        if expected is Meaning.IN_USE and rule.protocol != "pop3":
            expected = Meaning.TEMPORARY
        assert meaning is expected, phrase


def test_an_smtp_code_of_the_fours_is_temporary_whatever_it_says_of_the_password() -> None:
    words = b"454 4.7.0 Temporary authentication failure: invalid password"

    assert read_refusal("smtp", b"454", words, encrypted=True).meaning is Meaning.TEMPORARY


def test_unknown_words_are_taken_for_a_wrong_password_and_marked() -> None:
    refusal = read_refusal("imap", b"", b"NO nope", encrypted=True)

    assert (refusal.meaning, refusal.is_known) == (Meaning.CREDENTIALS, False)


def test_words_about_tls_count_in_clear_only() -> None:
    words = b"-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections."

    assert read_refusal("pop3", b"AUTH", words, encrypted=False).meaning is Meaning.NEEDS_TLS
    assert read_refusal("pop3", b"AUTH", words, encrypted=True).meaning is Meaning.CREDENTIALS


def test_only_pop3_sessions_hold_a_mailbox() -> None:
    words = b"NO mailbox is locked"

    assert read_refusal("pop3", b"", words, encrypted=True).meaning is Meaning.IN_USE
    assert read_refusal("imap", b"", words, encrypted=True).meaning is Meaning.TEMPORARY


@pytest.mark.parametrize(
    ("words", "marked", "unmarked"),
    [
        (b"-ERR no", Meaning.TEMPORARY, Meaning.CREDENTIALS),
        (b"-ERR invalid password", Meaning.TEMPORARY, Meaning.CREDENTIALS),
        (b"-ERR too many", Meaning.LIMITED, Meaning.LIMITED),
    ],
)
def test_a_server_that_marks_wrong_passwords_means_something_else_without_the_mark(
    words: bytes, marked: Meaning, unmarked: Meaning
) -> None:
    for marks, meaning in ((True, marked), (False, unmarked)):
        refusal = read_refusal("pop3", b"", words, encrypted=True, marks_credentials=marks)
        assert refusal.meaning is meaning


def test_a_long_or_binary_refusal_is_read_quickly() -> None:
    refusal = read_refusal("imap", b"\xff\x1b", b"NO " + bytes(range(256)) * 256, encrypted=True)

    assert refusal.meaning is Meaning.CREDENTIALS


@pytest.mark.parametrize("category", Category)
def test_each_category_is_described(category: Category) -> None:
    assert f"### `{category}`" in DOCUMENT

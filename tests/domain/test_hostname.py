"""Hostnames in their normal form, and what is none (contract Q-9)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import InvalidValueError
from domain.values import parse_hostname

LONGEST = ".".join(["a" * 63] * 3 + ["b" * 61])


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("mail.example.com", "mail.example.com"),
        ("MAIL.EXAMPLE.COM", "mail.example.com"),
        ("mail.example.com.", "mail.example.com"),
        ("localhost", "localhost"),
        ("a", "a"),
        ("1and1.example", "1and1.example"),
        ("a--b.example", "a--b.example"),
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("MÜNCHEN.example.", "xn--mnchen-3ya.example"),
        ("mu\u0308nchen.example", "xn--mnchen-3ya.example"),
        ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("\uff4d\uff41\uff49\uff4c.example", "mail.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8::0:1", "2001:db8::1"),
        ("::1", "::1"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        (LONGEST, LONGEST),
        (f"{LONGEST}.", LONGEST),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_a_hostname_has_one_normal_form(sent: str, stored: str) -> None:
    normal = parse_hostname(sent)

    assert normal in {stored, "::ffff:c000:201"}
    assert parse_hostname(normal) == normal


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (None, "type"),
        (5, "type"),
        (["mail.example.com"], "type"),
        ("", "required"),
        (" ", "blank"),
        (" mail.example.com", "blank"),
        ("mail.example.com\n", "blank"),
        ("mail example.com", "blank"),
        ("mail\x00.example.com", "blank"),
        ("mail\u00a0.example.com", "blank"),
        ("mail\u200b.example.com", "blank"),
        ("https://mail.example.com", "scheme"),
        ("SMTP+TLS://mail.example.com", "scheme"),
        ("//mail.example.com", "path"),
        ("mail.example.com/", "path"),
        ("mail.example.com/imap", "path"),
        ("mail.example.com?x", "path"),
        ("mail.example.com#x", "path"),
        ("mail\\example", "path"),
        ("user@mail.example.com", "user"),
        ("mail.example.com:25", "port"),
        ("192.0.2.1:25", "port"),
        ("mail.example.com:", "port"),
        (":25", "port"),
        ("[2001:db8::1]", "brackets"),
        ("[2001:db8::1]:25", "brackets"),
        ("fe80::1%eth0", "invalid"),
        ("mail%2eexample", "invalid"),
        ("2001:db8::1::2", "invalid"),
        ("2001:db8:::1", "invalid"),
        ("a:b:c", "invalid"),
        ("mail..example.com", "invalid"),
        (".mail.example.com", "invalid"),
        (".", "invalid"),
        ("mail.example.com..", "invalid"),
        ("-mail.example.com", "invalid"),
        ("mail-.example.com", "invalid"),
        ("mail_1.example.com", "invalid"),
        ("*.example.com", "invalid"),
        ("a" * 64 + ".example", "invalid"),
        ("192.0.2.256", "invalid"),
        ("192.0.2", "invalid"),
        ("192.0.2.01", "invalid"),
        ("1.2.3.4.", "invalid"),
        ("127.1", "invalid"),
        ("2130706433", "invalid"),
        ("\uff11\uff12\uff17.0.0.1", "invalid"),
        ("ü" * 64, "invalid"),
        ("\ud800.example", "blank"),
        (".".join(["üäö" * 12] * 6), "invalid"),
        (LONGEST + "c", "too_long"),
        ("ü" * 254, "too_long"),
        (".".join(["ü" * 50] * 5), "too_long"),
    ],
)
def test_what_is_no_hostname_is_refused_and_not_repeated(sent: object, code: str) -> None:
    with pytest.raises(InvalidValueError) as refusal:
        parse_hostname(sent)

    assert refusal.value.code == code
    if isinstance(sent, str) and len(sent) > 12:
        assert sent not in refusal.value.message


def test_254_characters_are_one_too_many() -> None:
    assert len(LONGEST) == 253
    with pytest.raises(InvalidValueError, match="at most 253 characters"):
        parse_hostname("a" + LONGEST)


@given(text=st.one_of(st.text(), st.text("abzABZ09äß.:%-xn", min_size=1, max_size=40)))
@settings(deadline=None)
def test_any_text_is_refused_or_normal_after_one_pass(text: str) -> None:
    try:
        normal = parse_hostname(text)
    except InvalidValueError:
        return
    assert normal.isascii()
    assert normal == normal.lower()
    assert len(normal) <= 253
    assert parse_hostname(normal) == normal

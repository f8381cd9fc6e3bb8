"""Strategies of Hypothesis for bodies that a create must accept."""

from __future__ import annotations

from string import ascii_letters
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from domain.kinds import KINDS
from domain.values import COUNTRY_CODES

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


HOSTNAMES = [
    "mail.example.com",
    "MAIL.Example.org.",
    "münchen.example",
    "пример.испытание",
    "例え.テスト",
    "faß.example",
    "xn--mnchen-3ya.example",
    "192.0.2.7",
    "2001:db8::25",
    "::FFFF:192.0.2.1",
    "localhost",
    ".".join(["a" * 63] * 3 + ["b" * 61]),
]
HOSTILE_KEYS = [
    "_type_",
    "_data_",
    "__class__",
    "timestamp",
    "originator_id",
    "",
    "\x00",
    "a.b",
    "Note",
]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
# Without letters of known keys: what looks like one of them is refused, or sealed as a secret.
other_letters = st.characters(exclude_categories=["Cs"], exclude_characters=ascii_letters)
keys = st.one_of(st.sampled_from(HOSTILE_KEYS), st.text(other_letters, max_size=20))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
)
json_values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=6,
)
switches = st.sampled_from([True, False, 1, 0, "true", "False", None])
credentials = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1, max_size=30
).filter(lambda text: text != "********")


def _unknown(kind: str) -> SearchStrategy[dict[str, Any]]:
    known = set(KINDS[kind].config)
    return st.dictionaries(keys.filter(lambda key: key not in known), json_values, max_size=3)


def _smtp_configs() -> SearchStrategy[dict[str, Any]]:
    auth = st.fixed_dictionaries(
        {}, optional={"user": credentials, "pass": credentials, "x": scalars}
    )
    known = st.fixed_dictionaries(
        {},
        optional={
            "secure": switches,
            "requireTls": switches,
            "auth": st.one_of(st.none(), auth, st.just({"_type_": "x", "_data_": "y"})),
            "tlsOptions": st.fixed_dictionaries({}, optional={"rejectUnauthorized": switches}),
        },
    )
    return st.builds(lambda one, two: {**one, **two}, _unknown("smtp"), known)


def _imap_configs() -> SearchStrategy[dict[str, Any]]:
    login: SearchStrategy[dict[str, Any]] = st.one_of(
        st.just({}), st.fixed_dictionaries({"user": credentials, "password": credentials})
    )
    known = st.fixed_dictionaries(
        {},
        optional={
            "protocol": st.sampled_from(
                ["imap", "pop3", "managesieve", "IMAP", "POP3", "ManageSieve"]
            ),
            "tls": switches,
            "tlsOptions": st.fixed_dictionaries({}, optional={"rejectUnauthorized": switches}),
        },
    )
    return st.builds(
        lambda one, two, three: {**one, **two, **three}, _unknown("imap_pop"), known, login
    )


def configs(kind: str) -> SearchStrategy[dict[str, Any]]:
    """Return configs that are accepted."""
    return _smtp_configs() if kind == "smtp" else _imap_configs()


def bodies(kind: str) -> SearchStrategy[dict[str, Any]]:
    """Return bodies that are accepted, but for the customer."""
    printable = st.text(min_size=1, max_size=40).filter(
        lambda text: text.strip() != "" and text.strip().isprintable()
    )
    return st.fixed_dictionaries(
        {"name": printable, "hostname": st.sampled_from(HOSTNAMES)},
        optional={
            "port": st.one_of(st.none(), st.integers(1, 65535)),
            "status": st.sampled_from(["active", "maintenance", "disabled", "paused", "inactive"]),
            "checkInterval": st.one_of(st.integers(1, 1440), st.floats(0.1, 1440)),
            "timeoutSeconds": st.one_of(st.integers(1, 60), st.floats(1, 60)),
            "notificationEmail": st.sampled_from([None, "ops@example.com", "ü@exämple.com"]),
            "notificationPhoneNumber": st.sampled_from([None, "+49 (170) 123-45/6", "112"]),
            "allowedCheckCountryCodes": st.one_of(
                st.none(),
                st.lists(st.sampled_from(sorted(COUNTRY_CODES)).map(str.lower), max_size=4),
            ),
            "config": configs(kind),
        },
    )

"""The config objects as schemas: what is sent and what comes back.

The keys are those of the domain's rules; each leaf is described here. A key without a
description, or a description without a key, fails when the document is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from api.openapi.vocabulary import described
from domain.mail_config import MASK, MAX_BYTES, MAX_CREDENTIAL_LENGTH, MAX_DEPTH, RULES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.http.fields import Schema
    from domain.mail_config import Kind, Rules


COMPONENTS: Final[Mapping[Kind, str]] = {"smtp": "SmtpConfig", "imap_pop": "ImapPopConfig"}
"""What the config of a kind is called."""

_BOOLEAN: Final[Schema] = {
    "anyOf": [
        {"type": ["boolean", "null"]},
        {"enum": [0, 1]},
        {"type": "string", "pattern": "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$"},
    ]
}
_TEXT: Final[Schema] = {
    "type": ["string", "null"],
    "maxLength": MAX_CREDENTIAL_LENGTH,
    "pattern": "^[^\\r\\n\\u0000]*$",
}
_SECRET: Final = described(
    _TEXT,
    f"Stored encrypted; shown as `{MASK}` in every read. That mask sent back, or no value "
    "beside the same user, keeps the stored secret; null removes it.",
)


def _choice(*values: str, description: str) -> Schema:
    """Return the schema of words that are read in any case, and stored in lower case."""
    in_any_case = "|".join(
        "".join(f"[{char.upper()}{char}]" if char.isalpha() else char for char in value)
        for value in values
    )
    return {
        "anyOf": [
            {"type": ["string", "null"], "enum": [*values, None]},
            {"type": "string", "pattern": f"^({in_any_case})$"},
        ],
        "description": description,
    }


_REJECT_UNAUTHORIZED: Final = described(
    _BOOLEAN,
    "Default true, also for POP3. false: a bad certificate is reported and does not fail the "
    "check.",
)
_LEAVES: Final[Mapping[Kind, Mapping[str, Schema]]] = {
    "smtp": {
        "secure": described(
            _BOOLEAN, "TLS from the first byte; the port defaults to 465. Default false: port 25."
        ),
        "ignoreTls": described(_BOOLEAN, "Never use STARTTLS. Not together with requireTls."),
        "requireTls": described(_BOOLEAN, "Fail when STARTTLS is not offered or does not work."),
        "auth.user": described(_TEXT, "Used only when both user and password are given."),
        "auth.pass": _SECRET,
        "tlsOptions.rejectUnauthorized": _REJECT_UNAUTHORIZED,
    },
    "imap_pop": {
        "protocol": _choice("imap", "pop3", description="Default `imap`."),
        "user": described(_TEXT, "Needs a password, and the other way round."),
        "password": _SECRET,
        "tls": described(
            _BOOLEAN, "TLS from the first byte: port 993 (IMAP) or 995 (POP3). Default false."
        ),
        "mailbox": described(_TEXT, "Opened read-only after the login; needs a login."),
        "startTls": _choice(
            "never",
            "auto",
            "require",
            description="Only with `tls: false`. Default `never`.",
        ),
        "tlsOptions.rejectUnauthorized": _REJECT_UNAUTHORIZED,
    },
}


def input_name(kind: Kind) -> str:
    """Return the component's name of a config as it is sent."""
    return COMPONENTS[kind] + "Input"


def sent(kind: Kind) -> Schema:
    """Return what a body may hold."""
    return {
        **_object(RULES[kind], dict(_LEAVES[kind])),
        "description": f"At most {MAX_BYTES} bytes of JSON and {MAX_DEPTH} levels. Unknown keys "
        "are stored and returned as sent. On an update it replaces the stored config as a whole.",
    }


def shown(kind: Kind) -> Schema:
    """Return what an answer holds: as `sent`, with known keys in their normal form."""
    leaves = {path: _normal(leaf) for path, leaf in _LEAVES[kind].items()}
    return {**_object(RULES[kind], leaves), "description": "As it was sent; secrets masked."}


def _object(rules: Rules, leaves: dict[str, Schema], prefix: str = "") -> Schema:
    """Return the object that the rules describe; `leaves` must be used up by it."""
    properties: Schema = {}
    for key, rule in rules.items():
        path = f"{prefix}{key}"
        if isinstance(rule, dict):
            below = _object(rule, leaves, f"{path}.")
            properties[key] = {**below, "type": ["object", "null"]}
        else:
            properties[key] = leaves.pop(path)
    if not prefix and leaves:
        raise LookupError(f"described, but no key of a config: {', '.join(leaves)}")
    return {"type": "object", "properties": properties, "additionalProperties": True}


def _normal(leaf: Schema) -> Schema:
    """Return the schema of a stored value: the first form of several that may be sent."""
    if "anyOf" not in leaf:
        return {key: value for key, value in leaf.items() if key != "description"}
    first: Schema = leaf["anyOf"][0]
    return first

"""The kinds of monitors: one table that says what each kind is called and what its config means.

Whatever differs from kind to kind follows from an entry of `KINDS`: how a config is checked,
sealed and described, the paths and component names of the API, the shapes, the audit log
and the checker's targets. A new kind, or a new protocol of a kind, is an entry here and a
dialogue in `mail.protocols`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from domain.errors import InvalidValueError
from domain.values import parse_hostname

Kind = Literal["smtp", "imap_pop"]

TlsMode = Literal["implicit", "never", "auto", "require"]
"""When the connection is encrypted.

`implicit`: from the first byte (RFC 8314). `never`: not at all, whatever is offered.
`auto`: by STARTTLS when the server offers it; an offer that then fails is a failure.
`require`: by STARTTLS, or the server is down.
"""

Config = dict[str, Any]
"""The config object of a monitor, in JSON-native values: known keys in their normal form."""

KeyPath = tuple[str, ...]
"""Where a value is in a config: the keys from the top down."""

MAX_CREDENTIAL_LENGTH: Final = 1024
MAX_TOKEN_LENGTH: Final = 8192
MASK: Final = "********"
"""Replaces a stored secret in everything that is read; sent back it keeps the secret."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A key of a config that holds true or false. `description` is for the API's documents."""

    description: str

    def parse(self, value: object) -> bool:
        """Return the flag; also the texts `true` and `false`, 1 and 0 are accepted."""
        if isinstance(value, bool):
            return value
        if value in (1, 0):
            return value == 1
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise InvalidValueError("type", "must be true or false")


@dataclass(frozen=True, slots=True)
class Text:
    """A key of a config whose text is sent to the mail server, so it must be one line."""

    description: str
    max_length: int = MAX_CREDENTIAL_LENGTH

    def parse(self, value: object) -> str:
        """Return the text. Line breaks are refused: they would begin a command."""
        if not isinstance(value, str):
            raise InvalidValueError("type", "must be a string or null")
        if any(char in value for char in "\r\n\0"):
            raise InvalidValueError("invalid", "must not contain CR, LF or NUL")
        if len(value) > self.max_length:
            message = f"must have at most {self.max_length} characters"
            raise InvalidValueError("too_long", message)
        return value


@dataclass(frozen=True, slots=True)
class Choice:
    """A key of a config that holds one of some words, which are read in any case."""

    words: tuple[str, ...]
    description: str

    def parse(self, value: object) -> str:
        """Return the word as `words` has it."""
        if isinstance(value, str):
            for word in self.words:
                if word.lower() == value.lower():
                    return word
        raise InvalidValueError("invalid", f"must be one of {', '.join(self.words)}")


@dataclass(frozen=True, slots=True)
class ServerName:
    """A key of a config that holds the name of a server, for TLS (RFC 6066, 3)."""

    description: str

    def parse(self, value: object) -> str:
        """Return the normal form of a hostname. An address is refused: TLS knows names only."""
        name = parse_hostname(value)
        if ":" in name or name.rpartition(".")[2].isdigit():
            raise InvalidValueError("invalid", "must be a hostname, not an address")
        return name


ConfigField = Flag | Text | Choice | ServerName
ConfigFields = Mapping[str, "ConfigField | ConfigFields"]
"""The known keys of a config, or of an object inside it."""


class Contradiction(NamedTuple):
    """Two keys of a config that exclude each other: the one to name, and the reason."""

    key: str
    message: str


class ConnectionSettings(NamedTuple):
    """How a config asks to contact the server. `protocol` is a key of `mail.protocols`."""

    protocol: str
    tls: TlsMode


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorKind:
    """One kind of monitors.

    `resource` is what the API calls one of them, `label` what people call it, `about` says
    in a sentence what is watched. `not_found` is the documented text of the 404 answer.
    `config_key` names the config in bodies, `timing_key` the total time of a check.

    `config` holds the known keys of the config. `user_path`, `secret_path` and `token_path` say
    where user, password and access token are. With `needs_whole_login` half a login is refused;
    otherwise it means no login. `look_alikes` are keys, as `plain` writes them, that people use
    for a known one, which the value names; keys that differ in case or place need no entry.
    `contradiction` finds keys that exclude each other, `connection_settings` reads what a checked
    config asks for. `protocols` are those that the kind speaks, the default first.
    """

    name: Kind
    resource: str
    label: str
    about: str
    path: str
    not_found: str
    config_key: str
    timing_key: str
    config: ConfigFields
    secret_path: KeyPath
    user_path: KeyPath
    token_path: KeyPath
    look_alikes: Mapping[str, str]
    needs_whole_login: bool
    protocols: tuple[str, ...]
    contradiction: Callable[[Config], Contradiction | None]
    connection_settings: Callable[[Config], ConnectionSettings]


def _smtp_contradiction(config: Config) -> Contradiction | None:
    if config.get("ignoreTls") and config.get("requireTls"):
        return Contradiction("ignoreTls", "must not be true together with requireTls")
    return _tls_contradiction(config)


def _smtp_connection_settings(config: Config) -> ConnectionSettings:
    if config.get("secure"):
        return ConnectionSettings("smtp", "implicit")
    # Together with ignoreTls, which is refused on input, the safer one wins.
    if config.get("requireTls"):
        return ConnectionSettings("smtp", "require")
    return ConnectionSettings("smtp", "never" if config.get("ignoreTls") else "auto")


def _imap_pop_contradiction(config: Config) -> Contradiction | None:
    if config.get("tls") and config.get("startTls") in ("auto", "require"):
        return Contradiction("startTls", "has no meaning together with tls: true")
    if config.get("mailbox") and config.get("protocol") == "managesieve":
        return Contradiction("mailbox", "has no meaning together with protocol: managesieve")
    return _tls_contradiction(config)


def _tls_contradiction(config: Config) -> Contradiction | None:
    options = config.get("tlsOptions") or {}
    lowest, highest = options.get("minVersion"), options.get("maxVersion")
    # Configs of the time before these keys were known may hold anything there.
    if lowest not in TLS_VERSIONS or highest not in TLS_VERSIONS:
        return None
    if TLS_VERSIONS.index(lowest) > TLS_VERSIONS.index(highest):
        return Contradiction("tlsOptions.minVersion", "must not be above maxVersion")
    return None


def _imap_pop_connection_settings(config: Config) -> ConnectionSettings:
    protocol = config.get("protocol")
    if protocol not in _IMAP_POP_PROTOCOLS:
        protocol = _IMAP_POP_PROTOCOLS[0]
    if config.get("tls"):
        return ConnectionSettings(protocol, "implicit")
    return ConnectionSettings(protocol, _START_TLS.get(config.get("startTls"), "never"))


_IMAP_POP_PROTOCOLS: Final = ("imap", "pop3", "managesieve")
_START_TLS: Final[Mapping[object, TlsMode]] = {"auto": "auto", "require": "require"}

TLS_VERSIONS: Final = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
"""Versions of TLS by their names in Node's options, oldest first."""

_PASSWORD: Final = Text(
    f"Stored encrypted; shown as `{MASK}` in every read. That mask sent back, or no value "
    "beside the same user, keeps the stored secret; null removes it."
)
_TLS_OPTIONS: Final[ConfigFields] = {
    "rejectUnauthorized": Flag(
        "Default true, also for POP3. false: a bad certificate is reported and does not fail the "
        "check."
    ),
    "servername": ServerName(
        "The name that is sent to the server (SNI) and that its certificate must have; default: "
        "the hostname. So one monitor can watch one backend by its address."
    ),
    "minVersion": Choice(
        TLS_VERSIONS, "The oldest version of TLS that a check accepts. Default: TLSv1.2."
    ),
    "maxVersion": Choice(
        TLS_VERSIONS, "The newest version of TLS that a check offers. Default: the newest there is."
    ),
}
_ACCESS_TOKEN: Final = Text(
    "An OAuth 2.0 access token, used instead of a password. Stored and shown like a password.",
    MAX_TOKEN_LENGTH,
)

_SMTP: Final = MonitorKind(
    name="smtp",
    resource="smtpMonitor",
    label="SMTP monitor",
    about="Servers that take mail.",
    path="/api/smtp-monitors",
    not_found="Not found",
    config_key="smtpConfig",
    timing_key="timingSmtp",
    config={
        "secure": Flag(
            "TLS from the first byte; the port defaults to 465. Default false: port 25."
        ),
        "ignoreTls": Flag("Never use STARTTLS. Not together with requireTls."),
        "requireTls": Flag("Fail when STARTTLS is not offered or does not work."),
        "auth": {
            "user": Text("Used only when both user and password are given."),
            "pass": _PASSWORD,
            "accessToken": _ACCESS_TOKEN,
        },
        "tlsOptions": _TLS_OPTIONS,
    },
    secret_path=("auth", "pass"),
    user_path=("auth", "user"),
    token_path=("auth", "accessToken"),
    look_alikes={
        "auth.password": "auth.pass",
        "auth.username": "auth.user",
        "auth.login": "auth.user",
        "password": "auth.pass",
        "username": "auth.user",
        "tls": "secure or tlsOptions",
        "ssl": "secure",
        "starttls": "requireTls",
    },
    needs_whole_login=False,
    protocols=("smtp",),
    contradiction=_smtp_contradiction,
    connection_settings=_smtp_connection_settings,
)

_IMAP_POP: Final = MonitorKind(
    name="imap_pop",
    resource="imapPopMonitor",
    label="IMAP/POP monitor",
    about="Servers that hand mail out.",
    path="/api/imap-pop-monitors",
    not_found="IMAP/POP monitor not found",
    config_key="imapPopConfig",
    timing_key="timingImapPop",
    config={
        "protocol": Choice(
            _IMAP_POP_PROTOCOLS,
            "Default `imap`. `managesieve` (RFC 5804) watches the server of mail filters.",
        ),
        "user": Text("Needs a password, and the other way round."),
        "password": _PASSWORD,
        "auth": {"accessToken": _ACCESS_TOKEN},
        "tls": Flag("TLS from the first byte: port 993 (IMAP) or 995 (POP3). Default false."),
        "mailbox": Text("Opened read-only after the login; needs a login. Not with ManageSieve."),
        "startTls": Choice(
            ("never", "auto", "require"), "Only with `tls: false`. Default `never`."
        ),
        "tlsOptions": _TLS_OPTIONS,
    },
    secret_path=("password",),
    user_path=("user",),
    token_path=("auth", "accessToken"),
    look_alikes={
        "pass": "password",
        "username": "user",
        "login": "user",
        "auth.pass": "password",
        "auth.username": "user",
        "auth.login": "user",
        "secure": "tls",
        "ssl": "tls",
        "requiretls": "startTls",
    },
    needs_whole_login=True,
    protocols=_IMAP_POP_PROTOCOLS,
    contradiction=_imap_pop_contradiction,
    connection_settings=_imap_pop_connection_settings,
)

KINDS: Final[Mapping[str, MonitorKind]] = {each.name: each for each in (_SMTP, _IMAP_POP)}
"""Every kind by its name, in the order of the documents."""

KIND_OF_PROTOCOL: Final[Mapping[str, MonitorKind]] = {
    protocol: kind for kind in KINDS.values() for protocol in kind.protocols
}
"""The kind of monitors that speaks a protocol."""

"""The settings of a process, read once from the environment into a frozen dataclass.

Every problem is reported at once. `<NAME>_FILE` names a file that contains a secret. No
message shows the value of a secret. This module does not use pydantic-settings, whose import
would add half of its CPU time to the start of a short command.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar
from urllib.parse import quote

from domain.access_token import check_token
from domain.errors import InvalidValueError, MasterKeyError
from domain.suggestions import likely_name
from domain.values import COUNTRY_CODES
from mail.net.own_name import parse_ehlo_name
from service.ages import parse_age_or_never
from service.errors import CommandError, ExitCode
from store.keys.sealing import parse_master_key
from store.ports.engine import Database, check_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


T = TypeVar("T")

_LOCATION: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_BIND: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+):(?P<port>\d{1,5})")
_MAX_PORT: Final = 65535
_MAX_WORKERS: Final = 64
_MAX_CONNECTIONS: Final = 100_000
_MAX_RATE: Final = 1_000_000
_MAX_QUOTA: Final = 1_000_000_000_000
_MAX_INTERVAL: Final = 86_400
_PREFIX: Final = "POSTWATCH_"
_LIKENESS: Final = 0.75
"""How like the name of a setting a name must be to be refused as a mistake."""

_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?")
_LIBRARY: Final = ("DBNAME", "HOST", "PORT", "USER", "PASSWORD")
DEFAULT_ARCHIVE_AFTER: Final = timedelta(days=2)
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("json", "text")


class Option(NamedTuple):
    """An option of a command and its value; None: it was not given."""

    name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings; docs/operations.md explains each of them."""

    data: Path
    database: Database | None
    host: str
    port: int
    workers: int
    master_key: bytes | None = field(repr=False)
    new_master_key: bytes | None = field(repr=False)
    admin_token: str | None = field(repr=False)
    allowed_networks: tuple[str, ...]
    location: str | None
    location_name: str | None
    country: str | None
    resolvers: tuple[str, ...]
    ca_file: Path | None
    ehlo_name: str | None
    metrics_bind: tuple[str, int] | None
    alerting_metrics_bind: tuple[str, int] | None
    metrics_monitors: int | None
    rate_limit: int | None
    quota_changes_per_minute: int | None
    quota_log_bytes_per_day: int | None
    quota_monitors: int | None
    cors_origins: tuple[str, ...]
    connections_per_address: int
    trusted_proxies: tuple[str, ...]
    tls_cert: Path | None
    tls_key: Path | None
    tree_head_seconds: int
    archive_after: timedelta | None
    log_level: str
    log_format: str | None

    @property
    def master_keys(self) -> tuple[bytes | None, bytes | None]:
        """The master key and the new one of a rotation, as `open_store` takes them."""
        return self.master_key, self.new_master_key

    @property
    def bind(self) -> str:
        """The address that the API listens on, as gunicorn takes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def local_host(self) -> str:
        """The address of the API for a client on this machine."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104

    @property
    def base_url(self) -> str:
        """The URL of the API for a client on this machine."""
        host = self.local_host
        scheme = "http" if self.tls_cert is None else "https"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    @classmethod
    def from_env(
        cls, env: Mapping[str, str] = os.environ, *, options: Mapping[str, Option] | None = None
    ) -> Settings:
        """Read the settings. Raises CommandError that names every wrong one.

        `options` of the command override the settings of the same key.
        """
        reader = _EnvironmentReader(env, options or {})
        host, port = reader.read("POSTWATCH_BIND", _parse_bind, ("127.0.0.1", 8025))
        settings = cls(
            data=reader.read("POSTWATCH_DATA", Path, Path("data")),
            database=_database(reader),
            host=host,
            port=port,
            workers=reader.read("POSTWATCH_WORKERS", _parse_workers, 2),
            master_key=reader.read_secret("POSTWATCH_MASTER_KEY", parse_master_key),
            new_master_key=reader.read_secret("POSTWATCH_NEW_MASTER_KEY", parse_master_key),
            admin_token=reader.read_secret("POSTWATCH_ADMIN_TOKEN", check_token),
            allowed_networks=reader.read("POSTWATCH_ALLOWED_NETWORKS", _parse_networks, ()),
            location=reader.read("POSTWATCH_LOCATION", _parse_location, None),
            location_name=reader.read("POSTWATCH_LOCATION_NAME", str, None),
            country=reader.read("POSTWATCH_COUNTRY", _parse_country, None),
            resolvers=reader.read("POSTWATCH_RESOLVERS", _parse_list, ()),
            ca_file=reader.read("POSTWATCH_CA_FILE", _parse_file, None),
            ehlo_name=reader.read("POSTWATCH_EHLO_NAME", parse_ehlo_name, None),
            metrics_bind=reader.read("POSTWATCH_METRICS_BIND", _parse_bind, None),
            alerting_metrics_bind=reader.read("POSTWATCH_ALERTING_METRICS_BIND", _parse_bind, None),
            metrics_monitors=reader.read_limit("POSTWATCH_METRICS_MONITORS", 1000),
            rate_limit=reader.read("POSTWATCH_RATE_LIMIT", _parse_rate_limit, None),
            quota_changes_per_minute=reader.read_limit("POSTWATCH_QUOTA_CHANGES_PER_MINUTE", 3000),
            quota_log_bytes_per_day=reader.read_limit(
                "POSTWATCH_QUOTA_LOG_BYTES_PER_DAY", 268_435_456
            ),
            quota_monitors=reader.read_limit("POSTWATCH_QUOTA_MONITORS", 10_000),
            cors_origins=reader.read("POSTWATCH_CORS_ORIGINS", _parse_origins, ()),
            connections_per_address=reader.read(
                "POSTWATCH_CONNECTIONS_PER_ADDRESS", _parse_connections, 100
            ),
            trusted_proxies=reader.read("POSTWATCH_TRUSTED_PROXIES", _parse_networks, ()),
            tls_cert=reader.read("POSTWATCH_TLS_CERT", _parse_file, None),
            tls_key=reader.read("POSTWATCH_TLS_KEY", _parse_file, None),
            tree_head_seconds=reader.read("POSTWATCH_TREE_HEAD_SECONDS", _parse_interval, 600),
            archive_after=reader.read_age("POSTWATCH_ARCHIVE_AFTER", DEFAULT_ARCHIVE_AFTER),
            log_level=reader.read("POSTWATCH_LOG_LEVEL", _parse_choice(LOG_LEVELS), "info"),
            log_format=reader.read("POSTWATCH_LOG_FORMAT", _parse_choice(LOG_FORMATS), None),
        )
        reader.check(_tls_problem(settings))
        reader.finish()
        return settings


class _EnvironmentReader:
    """Reads settings by name and collects the problems of all of them."""

    def __init__(self, env: Mapping[str, str], options: Mapping[str, Option]) -> None:
        given = {name: option for name, option in options.items() if option.value is not None}
        self._env = {**env, **{name: option.value or "" for name, option in given.items()}}
        self._shown = {name: option.name for name, option in given.items()}
        self._problems: list[str] = []
        self._known: set[str] = set()

    def read_limit(self, name: str, default: int) -> int | None:
        limit: int | None = default
        return self.read(name, _parse_limit, limit)

    def read_age(self, name: str, default: timedelta) -> timedelta | None:
        age: timedelta | None = default
        return self.read(name, parse_age_or_never, age)

    def read(self, name: str, parse: Callable[[str], T], default: T) -> T:
        self._known.add(name)
        text = self._env.get(name, "").strip()
        if not text:
            return default
        try:
            return parse(text)
        except (ValueError, InvalidValueError, MasterKeyError) as error:
            self._problems.append(f"{self._shown.get(name, name)}: {error}")
            return default

    def read_secret(self, name: str, parse: Callable[[str], T]) -> T | None:
        self._known |= {name, f"{name}_FILE"}
        path = self._env.get(f"{name}_FILE", "").strip()
        if not path:
            return self.read(name, parse, None)
        try:
            text = Path(path).read_text(encoding="utf-8").strip()
            return parse(text)
        except OSError as error:
            self._problems.append(f"{name}_FILE: cannot read {path}: {error.strerror}")
        except (ValueError, InvalidValueError, MasterKeyError) as error:
            self._problems.append(f"{name}_FILE: {error}")
        return None

    def library_url(self) -> str | None:
        """Return the URL of the database that the event store's own variables name, if any."""
        if self._env.get("PERSISTENCE_MODULE") != "eventsourcing.postgres":
            return None
        given = {each: self._env.get(f"POSTGRES_{each}", "") for each in _LIBRARY}
        if not given["DBNAME"]:
            self._problems.append("POSTGRES_DBNAME: must name the database")
        user, password, name = (
            quote(given[each], safe="") for each in ("USER", "PASSWORD", "DBNAME")
        )
        login = f"{user}:{password}@" if password else f"{user}@" if user else ""
        port = f":{given['PORT']}" if given["PORT"] else ""
        host = quote(given["HOST"], safe="[]:,")  # It may be the folder of a socket.
        return f"postgresql://{login}{host}{port}/{name}"

    def check(self, problem: str | None) -> None:
        """Note a problem of settings that do not fit each other."""
        if problem is not None and not self._problems:
            self._problems.append(problem)

    def finish(self) -> None:
        """Raise CommandError that names every wrong value, and every misspelt name.

        A name that is like no setting is left alone: it may be of a test, or of Kubernetes,
        which gives every container `POSTWATCH_PORT` when a service is called postwatch.
        """
        known = {name.removeprefix(_PREFIX) for name in self._known}
        for name in sorted(self._env.keys() - self._known):
            if name.startswith(_PREFIX):
                meant = likely_name(name.removeprefix(_PREFIX), known, likeness=_LIKENESS)
                if meant is not None:
                    self._problems.append(
                        f"{name}: is not a setting; did you mean {_PREFIX}{meant}?"
                    )
        if self._problems:
            raise CommandError(
                ExitCode.SETTINGS_WRONG, "settings are wrong: " + "; ".join(self._problems)
            )


def _database(reader: _EnvironmentReader) -> Database | None:
    """Return the database of the store; None if the store is in the data folder."""
    url = reader.read_secret("POSTWATCH_DATABASE_URL", check_url)
    read_url = reader.read_secret("POSTWATCH_READ_DATABASE_URL", check_url)
    url = url or reader.library_url()
    return None if url is None else Database(url, read_url)


def _parse_bind(text: str) -> tuple[str, int]:
    match = _BIND.fullmatch(text)
    if not match or not 0 < int(match["port"]) <= _MAX_PORT:
        raise ValueError("must be host:port, such as 127.0.0.1:8025")
    return match["host"].strip("[]"), int(match["port"])


def _parse_workers(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= _MAX_WORKERS:
        raise ValueError(f"must be a whole number from 1 to {_MAX_WORKERS}")
    return int(text)


def _parse_rate_limit(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= _MAX_RATE:
        raise ValueError(f"must be a whole number of requests a minute, from 1 to {_MAX_RATE}")
    return int(text)


def _parse_connections(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= _MAX_CONNECTIONS:
        raise ValueError(f"must be a whole number from 1 to {_MAX_CONNECTIONS}")
    return int(text)


def _tls_problem(settings: Settings) -> str | None:
    """Return what is wrong with certificate and key together, None if nothing is."""
    if settings.tls_cert is None and settings.tls_key is None:
        return None
    if settings.tls_cert is None or settings.tls_key is None:
        return "POSTWATCH_TLS_CERT and POSTWATCH_TLS_KEY: set both or none"
    try:
        # With a password callback OpenSSL never asks on the terminal.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=str)
    except (OSError, ssl.SSLError):
        return (
            f"POSTWATCH_TLS_CERT, POSTWATCH_TLS_KEY: {settings.tls_cert} and {settings.tls_key} "
            "are no readable pair of a PEM certificate and its key without password"
        )
    return None


def _parse_limit(text: str) -> int | None:
    if text == "off":
        return None
    if not text.isdecimal() or not 0 < int(text) <= _MAX_QUOTA:
        raise ValueError(f"must be off, or a whole number from 1 to {_MAX_QUOTA}")
    return int(text)


def _parse_interval(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= _MAX_INTERVAL:
        raise ValueError(f"must be a whole number of seconds, from 1 to {_MAX_INTERVAL}")
    return int(text)


def _parse_origins(text: str) -> tuple[str, ...]:
    origins = _parse_list(text)
    if not all(_ORIGIN.fullmatch(origin) for origin in origins):
        raise ValueError("must be origins such as https://status.example.com, comma-separated")
    return origins


def _parse_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _parse_networks(text: str) -> tuple[str, ...]:
    networks = _parse_list(text)
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise ValueError(f"{network} is not a network such as 10.0.0.0/8") from None
    return networks


def _parse_location(text: str) -> str:
    if not _LOCATION.fullmatch(text):
        raise ValueError("must be lower-case letters, digits and hyphens, such as de-nbg")
    return text


def _parse_country(text: str) -> str:
    if text.upper() not in COUNTRY_CODES:
        raise ValueError("must be a two-letter country code of ISO 3166-1")
    return text.upper()


def _parse_file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _parse_choice(choices: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text.lower()

    return parse

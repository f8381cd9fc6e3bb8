"""What an event changed, in the field terms of the API: from what, to what.

Pure. A secret is shown as the API shows it, by the mask; that it became another one is
said by a word, and neither the secret nor its sealed text is ever part of a change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from domain.changes import is_same
from domain.monitor import CHANGEABLE
from domain.secret_fields import MASK, SECRET_PATHS, read_secret
from projections.shapes import CONFIG_KEY, FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from domain.mail_config import Config, Kind
    from projections.view import Record

Change = dict[str, Any]
Path = tuple[str, ...]

MONITOR: Final[Mapping[str, str]] = {
    key: field for key, field in FIELDS.items() if field in CHANGEABLE
}
CUSTOMER: Final[Mapping[str, str]] = {
    "name": "name",
    "email": "email",
    "notificationEmail": "notification_email",
    "notificationPhoneNumber": "notification_phone_number",
    "packageType": "package_type",
    "status": "status",
    "allowedCheckCountryCodes": "allowed_check_country_codes",
    "customFields": "custom_fields",
    "monthlyReportsEnabled": "monthly_reports_enabled",
    "alertLocationThresholdCount": "alert_location_threshold_count",
}
LOCATION: Final[Mapping[str, str]] = {"code": "code", "name": "name", "countryCode": "country"}
ARCHIVE: Final[Mapping[str, str]] = {
    "firstPosition": "first_position",
    "lastPosition": "last_position",
    "count": "count",
    "digest": "digest",
}
ORGANIZATION: Final[Mapping[str, str]] = {"name": "name"}
TOKEN: Final[Mapping[str, str]] = {"name": "name", "role": "role", "expiresAt": "expires_at"}
"""Keys of the API, and the fields of a record that they show."""

_ABSENT: Final[Any] = object()


def changes(keys: Mapping[str, str], before: Record | None, after: Record) -> Iterator[Change]:
    """Return the fields that became others. What is made begins with null everywhere."""
    for key, field in keys.items():
        was, now = None if before is None else before[field], after[field]
        # What a fold leaves alone is the very same object, and most fields are left alone.
        if was is not now and not is_same(was, now):
            yield change(key, was, now)


def monitor_changes(before: Record | None, after: Record) -> Iterator[Change]:
    """Return the fields of a monitor that became others; its config field by field."""
    yield from changes(MONITOR, before, after)
    was, now = before["config"] if before else {}, after["config"]
    if was is not now:
        yield from _config_changes(after["kind"], was, now)


def change(key: str, was: object, now: object) -> Change:
    """Return one change."""
    return {"field": key, "from": was, "to": now}


def _config_changes(kind: Kind, before: Config, after: Config) -> Iterator[Change]:
    """Compare configs leaf by leaf; null stands for what is not there, too."""
    was, now = dict(_leaves((), before)), dict(_leaves((), after))
    secret = SECRET_PATHS[kind]
    if read_secret(kind, before) or read_secret(kind, after):
        hidden = read_secret(kind, before), read_secret(kind, after)
        was.pop(secret, None)
        now.pop(secret, None)
    else:
        hidden = None, None
    for path in _in_order(was, now):
        if not is_same(was.get(path, _ABSENT), now.get(path, _ABSENT)):
            yield change(_key(kind, path), was.get(path), now.get(path))
    if hidden[0] != hidden[1]:
        masked = [None if each is None else MASK for each in hidden]
        yield {**change(_key(kind, secret), *masked), "secret": "changed"}


def _leaves(path: Path, value: object) -> Iterator[tuple[Path, object]]:
    if isinstance(value, dict) and (value or not path):
        for key, each in value.items():
            yield from _leaves((*path, key), each)
    else:
        yield path, value


def _in_order(was: Iterable[Path], now: Iterable[Path]) -> dict[Path, None]:
    return dict.fromkeys((*was, *now))


def _key(kind: Kind, path: Path) -> str:
    return ".".join((CONFIG_KEY[kind], *path))

"""Maintenance windows as iCalendar (RFC 5545): written for calendars, read from simple files.

Only what a window can say is read: events of one time, and those that recur daily, weekly or
monthly. Anything else is refused by its name, because a window that is read wrongly is silent at
the wrong time. Nothing is expanded while reading.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from domain.clock import iso_milliseconds
from domain.errors import InvalidInputError, InvalidValueError, Problem
from domain.maintenance_window import parse_pattern, parse_time_zone, recurrence_of
from domain.values import parse_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from domain.resource import Fields


MAX_BYTES: Final = 256 * 1024
MAX_EVENTS: Final = 1000

_LINE_OCTETS: Final = 75
_DAYS: Final = ("SU", "MO", "TU", "WE", "TH", "FR", "SA")
_DURATION: Final = re.compile(
    r"P(?:(\d{1,3})W|(?:(\d{1,3})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,5})M)?)?)"
)
_IGNORED: Final = frozenset(
    {
        "DTSTAMP",
        "UID",
        "SEQUENCE",
        "CREATED",
        "LAST-MODIFIED",
        "STATUS",
        "TRANSP",
        "CLASS",
        "CATEGORIES",
        "LOCATION",
        "ORGANIZER",
        "PRIORITY",
        "URL",
    }
)
"""Properties of an event that say nothing about when it is."""

_RULE_PARTS: Final = frozenset(
    {"FREQ", "INTERVAL", "BYDAY", "BYMONTHDAY", "UNTIL", "COUNT", "WKST"}
)


def write_calendar(windows: Iterable[Mapping[str, Any]], name: str) -> str:
    """Return a calendar of windows, each a record of the view."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Postwatch//Maintenance windows//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{_escape(name)}",
    ]
    for window in windows:
        lines += _event(window)
    lines.append("END:VCALENDAR")
    return "".join(_fold(line) for line in lines)


def read_calendar(text: bytes) -> list[Fields]:
    """Return the fields of a window for each event: name, description, times and pattern.

    Raises InvalidInputError whose paths name the event by its place, `events[3].RRULE`.
    """
    if len(text) > MAX_BYTES:
        raise _refusal("", "too_large", f"must have at most {MAX_BYTES} bytes")
    try:
        lines = _unfold(text.decode())
    except UnicodeDecodeError:
        raise _refusal("", "invalid", "must be UTF-8") from None
    events = list(_events(lines))
    if len(events) > MAX_EVENTS:
        raise _refusal("", "too_many", f"must have at most {MAX_EVENTS} events")
    problems: list[Problem] = []
    windows: list[Fields] = []
    for number, event in enumerate(events):
        try:
            windows.append(_window(event))
        except _UnreadableError as error:
            problems.append(Problem(f"events[{number}].{error.name}", "unsupported", error.message))
    if problems:
        raise InvalidInputError(tuple(problems))
    return windows


class _Property(NamedTuple):
    name: str
    parameters: dict[str, str]
    value: str


class _UnreadableError(Exception):
    """A property that a window cannot express."""

    def __init__(self, name: str, message: str) -> None:
        self.name = name
        self.message = message
        super().__init__(name)


def _refusal(path: str, code: str, message: str) -> InvalidInputError:
    return InvalidInputError((Problem(path, code, message),))


# Writing.


def _event(window: Mapping[str, Any]) -> list[str]:
    recurrence = recurrence_of(dict(window))
    first = next(iter(recurrence.occurrences(_BEGINNING, 1)), None)
    if first is None:
        return []
    zone = window["time_zone"]
    lines = [
        "BEGIN:VEVENT",
        f"UID:{window['public_id']}",
        f"DTSTAMP:{_utc(datetime.fromisoformat(window['updated_at']))}",
        f"DTSTART{_local(first.start, zone)}",
        f"DTEND{_local(first.end, zone)}",
        f"SUMMARY:{_escape(window['name'])}",
    ]
    if window["description"]:
        lines.append(f"DESCRIPTION:{_escape(window['description'])}")
    if window["is_recurring"]:
        lines.append(f"RRULE:{_rule(window['recurrence_pattern'], zone)}")
    return [*lines, "END:VEVENT"]


def _rule(pattern: Mapping[str, Any], zone: str) -> str:
    parts = [f"FREQ={pattern['frequency'].upper()}"]
    if pattern.get("interval", 1) > 1:
        parts.append(f"INTERVAL={pattern['interval']}")
    if pattern["frequency"] == "weekly" and pattern.get("daysOfWeek"):
        parts.append("BYDAY=" + ",".join(_DAYS[day] for day in pattern["daysOfWeek"]))
    if pattern["frequency"] == "monthly" and pattern.get("dayOfMonth"):
        parts.append(f"BYMONTHDAY={pattern['dayOfMonth']}")
    if pattern.get("endRecurrenceDate"):
        last = date.fromisoformat(pattern["endRecurrenceDate"]) + timedelta(days=1)
        midnight = datetime(last.year, last.month, last.day, tzinfo=ZoneInfo(zone))
        parts.append(f"UNTIL={_utc(midnight - timedelta(seconds=1))}")
    return ";".join(parts)


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _local(moment: datetime, zone: str) -> str:
    if zone == "UTC":
        return f":{_utc(moment)}"
    return f";TZID={zone}:{moment.astimezone(ZoneInfo(zone)):%Y%m%dT%H%M%S}"


def _escape(text: str) -> str:
    """Escape a text (RFC 5545, 3.3.11); control characters are left out."""
    escaped = text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return "".join(each for each in escaped.replace("\n", "\\n") if each.isprintable())


def _fold(line: str) -> str:
    """Break a line after 75 octets, between characters (RFC 5545, 3.1)."""
    pieces, piece = [], b""
    for char in line:
        octets = char.encode()
        if len(piece) + len(octets) > _LINE_OCTETS:
            pieces.append(piece)
            piece = b" "
        piece += octets
    return b"\r\n".join([*pieces, piece]).decode() + "\r\n"


# Reading.


def _unfold(text: str) -> list[str]:
    return re.sub(r"\r?\n[ \t]", "", text).replace("\r\n", "\n").split("\n")


def _events(lines: Sequence[str]) -> Iterator[list[_Property]]:
    """Yield the properties of each VEVENT; those of other components are passed over."""
    inside: list[str] = []
    found: list[_Property] = []
    for line in filter(None, lines):
        each = _property(line)
        if each.name == "BEGIN":
            inside.append(each.value.upper())
            found = [] if inside[-1] == "VEVENT" else found
        elif each.name == "END":
            if not inside or inside.pop() != each.value.upper():
                raise _refusal("", "invalid", "must close each component that it opens")
            if each.value.upper() == "VEVENT":
                yield found
        elif inside[-1:] == ["VEVENT"]:
            found.append(each)
    if inside:
        raise _refusal("", "invalid", "must close each component that it opens")


def _property(line: str) -> _Property:
    head, colon, value = line.partition(":")
    if not colon:
        raise _refusal("", "invalid", "must be lines of the form NAME:value")
    name, *parameters = head.split(";")
    pairs = (each.partition("=")[::2] for each in parameters)
    return _Property(name.upper(), {key.upper(): item.strip('"') for key, item in pairs}, value)


def _window(event: Sequence[_Property]) -> Fields:
    known = {"SUMMARY", "DESCRIPTION", "DTSTART", "DTEND", "DURATION", "RRULE"}
    found: dict[str, _Property] = {}
    for each in event:
        if each.name in known:
            if each.name in found:
                raise _UnreadableError(each.name, "must occur once")
            found[each.name] = each
        elif each.name not in _IGNORED and not each.name.startswith("X-"):
            raise _UnreadableError(each.name, "is not supported")
    start, zone = _time(found, "DTSTART")
    fields: Fields = {
        "name": _name(found),
        "description": _unescape(found["DESCRIPTION"].value) if "DESCRIPTION" in found else None,
        "start_time": iso_milliseconds(start),
        "end_time": iso_milliseconds(_end(found, start)),
        "time_zone": zone,
        "is_recurring": "RRULE" in found,
        "recurrence_pattern": None,
    }
    if "RRULE" in found:
        fields["recurrence_pattern"] = _pattern(found["RRULE"].value, fields)
    return fields


def _name(found: Mapping[str, _Property]) -> str:
    try:
        return parse_name(_unescape(found["SUMMARY"].value) if "SUMMARY" in found else None)
    except InvalidValueError as error:
        raise _UnreadableError("SUMMARY", error.message) from None


def _time(found: Mapping[str, _Property], name: str) -> tuple[datetime, str]:
    """Return a time and its zone."""
    if name not in found:
        raise _UnreadableError(name, "is missing")
    _, parameters, value = found[name]
    zone = parameters.get("TZID", "UTC")
    try:
        parse_time_zone(zone)
        if value.endswith("Z"):
            return datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC), zone
        if "TZID" not in parameters:
            raise _UnreadableError(name, "must be in UTC or name its time zone (TZID)")
        local = datetime.strptime(value, "%Y%m%dT%H%M%S").replace(tzinfo=ZoneInfo(zone))
    except InvalidValueError as error:
        raise _UnreadableError(name, error.message) from None
    except ValueError:
        raise _UnreadableError(name, "must be a date with a time") from None
    return local.astimezone(UTC), zone


def _end(found: Mapping[str, _Property], start: datetime) -> datetime:
    if "DTEND" in found:
        return _time(found, "DTEND")[0]
    match = _DURATION.fullmatch(found["DURATION"].value) if "DURATION" in found else None
    if match is None:
        raise _UnreadableError("DTEND", "is missing, or DURATION is not one of weeks to minutes")
    weeks, days, hours, minutes = (int(each or 0) for each in match.groups())
    return start + timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes)


def _pattern(rule: str, window: Fields) -> Fields:
    parts = dict(each.partition("=")[::2] for each in rule.upper().split(";") if each)
    unknown = sorted(parts.keys() - _RULE_PARTS)
    if unknown or parts.get("WKST", "MO") != "MO":
        raise _UnreadableError("RRULE", f"{', '.join(unknown) or 'WKST'} is not supported")
    try:
        pattern = _pattern_of(parts, window["time_zone"])
        count = int(parts["COUNT"]) if "COUNT" in parts else None
    except ValueError:
        raise _UnreadableError("RRULE", "has a value that is not supported") from None
    if (pattern["frequency"], "BYDAY" in parts, "BYMONTHDAY" in parts) not in _COMBINATIONS:
        raise _UnreadableError("RRULE", "has a combination of parts that is not supported")
    try:
        pattern = parse_pattern(pattern) or {}
    except InvalidInputError as error:
        raise _UnreadableError("RRULE", error.problems[0].message) from None
    return (
        pattern
        if count is None
        else {**pattern, "endRecurrenceDate": _last(count, window, pattern)}
    )


def _pattern_of(parts: Mapping[str, str], zone: str) -> Fields:
    """Return the documented pattern of a rule's parts. Raises ValueError."""
    pattern: Fields = {"frequency": parts.get("FREQ", "").lower()}
    if "INTERVAL" in parts:
        pattern["interval"] = int(parts["INTERVAL"])
    if "BYDAY" in parts:
        pattern["daysOfWeek"] = [_DAYS.index(day) for day in parts["BYDAY"].split(",")]
    if "BYMONTHDAY" in parts:
        pattern["dayOfMonth"] = int(parts["BYMONTHDAY"])
    if "UNTIL" in parts:
        pattern["endRecurrenceDate"] = _until(parts["UNTIL"], zone)
    return pattern


_COMBINATIONS: Final = frozenset(
    {
        ("daily", False, False),
        ("weekly", False, False),
        ("weekly", True, False),
        ("monthly", False, False),
        ("monthly", False, True),
    }
)
"""Frequency, whether BYDAY is there, whether BYMONTHDAY is there."""


def _until(text: str, zone: str) -> str:
    """Return the last local day of a rule that ends at a time or on a day."""
    if "T" not in text:
        return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC).date().isoformat()
    moment = datetime.strptime(text.removesuffix("Z"), "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return moment.astimezone(ZoneInfo(zone)).date().isoformat()


def _last(count: int, window: Fields, pattern: Fields) -> str:
    """Return the local day of the last of some occurrences."""
    if not 1 <= count <= MAX_EVENTS:
        raise _UnreadableError("RRULE", f"COUNT must be from 1 to {MAX_EVENTS}")
    recurrence = recurrence_of({**window, "recurrence_pattern": pattern})
    occurrences = recurrence.occurrences(_BEGINNING, count)
    if not occurrences:
        raise _UnreadableError("RRULE", "has no occurrence")
    return occurrences[-1].start.astimezone(ZoneInfo(window["time_zone"])).date().isoformat()


def _unescape(text: str) -> str:
    return re.sub(r"\\([\\;,nN])", lambda m: "\n" if m[1] in "nN" else m[1], text)


_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)

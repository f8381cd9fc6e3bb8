"""Maintenance windows, channels, tags and packages: what their commands record and refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.utils import get_topic

from domain.alert_policy import DEFAULT, parse_alert_policy, policy_of
from domain.channel_types import CHANNEL_TYPES, parse_channel_config
from domain.errors import (
    InvalidInputError,
    InvalidValueError,
    NotFoundError,
    SecretUnreadableError,
    StaleVersionError,
)
from domain.maintenance_window import (
    MaintenanceWindow,
    covers,
    parse_pattern,
    parse_time_zone,
)
from domain.notification_channel import (
    NotificationChannel,
    parse_channel_type,
    parse_conditions,
    shown_config,
)
from domain.package_config import PACKAGE_PARSERS, PackageConfig
from domain.tag import MonitorTags, Tag, monitor_tags_id, parse_color
from store.log_reader import LogReader
from tests.domain.given import TESTER

if TYPE_CHECKING:
    from domain.resource import Fields
    from store.store import Store
    from tests.domain.given import Owners


SECRET = "a-secret-of-the-webhook"
WINDOW: Fields = {
    "name": "Weekly deployment",
    "start_time": "2027-07-05T02:00:00.000Z",
    "end_time": "2027-07-05T04:00:00.000Z",
    "is_recurring": True,
    "recurrence_pattern": {"frequency": "weekly", "daysOfWeek": [1]},
    "targets": [str(UUID(int=7))],
}
WEBHOOK: Fields = {
    "type": "webhook",
    "name": "Ops",
    "config": {"url": "https://hooks.example.com/mail", "secret": SECRET},
}


def head(store: Store) -> int:
    return LogReader(store.monitoring).head()


def problems(error: pytest.ExceptionInfo[InvalidInputError]) -> dict[str, str]:
    return {each.path: each.code for each in error.value.problems}


def test_a_window_is_created_changed_and_deleted(store: Store, owners: Owners) -> None:
    organization, resources = owners.organization.id, store.monitoring.resources

    window = resources.create(MaintenanceWindow, organization, WINDOW, TESTER)
    change = {"name": "Nightly", "recurrence_pattern": {"frequency": "daily"}}
    changed = resources.update(MaintenanceWindow, organization, window.id, change, TESTER)
    stored = head(store)
    resources.update(MaintenanceWindow, organization, window.id, change, TESTER)

    assert (window.number, changed.version) == (1, 2)
    assert head(store) == stored
    resources.delete(MaintenanceWindow, organization, window.id, TESTER)
    topics = [get_topic(type(each)) for each in store.monitoring.events.get(window.id)]
    assert topics == [
        "MaintenanceWindowCreated",
        "MaintenanceWindowUpdated",
        "MaintenanceWindowDeleted",
    ]
    with pytest.raises(NotFoundError, match="Maintenance window not found"):
        resources.delete(MaintenanceWindow, organization, window.id, TESTER)


def test_a_resource_of_another_organization_is_not_found(store: Store, owners: Owners) -> None:
    resources = store.monitoring.resources
    tag = resources.create(
        Tag, owners.organization.id, {"name": "Production", "color": "red"}, TESTER
    )

    with pytest.raises(NotFoundError, match="Tag not found"):
        resources.update(Tag, uuid4(), tag.id, {"name": "Mine"}, TESTER)
    with pytest.raises(NotFoundError, match="Maintenance window not found"):
        resources.delete(MaintenanceWindow, owners.organization.id, tag.id, TESTER)


def test_a_change_to_another_version_than_expected_is_refused(store: Store, owners: Owners) -> None:
    resources, organization = store.monitoring.resources, owners.organization.id
    tag = resources.create(Tag, organization, {"name": "Production", "color": "red"}, TESTER)

    with pytest.raises(StaleVersionError, match="The tag was changed meanwhile"):
        resources.update(Tag, organization, tag.id, {"name": "New"}, TESTER, expected_version=2)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"end_time": "2027-07-05T02:00:00.000Z"}, {"endTime": "order"}),
        ({"start_time": "0001-01-01T00:00:00.000Z"}, {"startTime": "range"}),
        ({"end_time": "9999-12-31T23:00:00.000Z"}, {"endTime": "range"}),
        ({"end_time": "2027-08-05T02:00:00.000Z"}, {"endTime": "range"}),
        ({"recurrence_pattern": None}, {"recurrencePattern": "required"}),
        ({"targets": []}, {"targets": "required"}),
        (
            {
                "recurrence_pattern": {
                    "frequency": "daily",
                    "endRecurrenceDate": "2027-07-04",
                }
            },
            {"recurrencePattern": "never"},
        ),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(
    store: Store, owners: Owners, fields: Fields, expected: dict[str, str]
) -> None:
    resources, organization = store.monitoring.resources, owners.organization.id
    before = head(store)

    with pytest.raises(InvalidInputError) as refused:
        resources.create(MaintenanceWindow, organization, {**WINDOW, **fields}, TESTER)

    assert problems(refused) == expected
    assert head(store) == before


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], {"": "type"}),
        ({}, {"frequency": "invalid"}),
        ({"frequency": "hourly"}, {"frequency": "invalid"}),
        ({"frequency": "daily", "interval": 0}, {"interval": "range"}),
        ({"frequency": "daily", "interval": True}, {"interval": "type"}),
        ({"frequency": "weekly", "daysOfWeek": [7]}, {"daysOfWeek": "range"}),
        ({"frequency": "weekly", "daysOfWeek": 1}, {"daysOfWeek": "type"}),
        ({"frequency": "monthly", "dayOfMonth": 32}, {"dayOfMonth": "range"}),
        ({"frequency": "daily", "endRecurrenceDate": "soon"}, {"endRecurrenceDate": "invalid"}),
        ({"frequency": "daily", "endRecurrenceDate": 1}, {"endRecurrenceDate": "type"}),
        ({"frequency": "daily", "intervall": 1}, {"intervall": "unknown"}),
    ],
)
def test_a_wrong_pattern_names_its_key(value: object, expected: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_pattern(value)

    assert problems(refused) == expected


def test_a_pattern_is_kept_in_its_documented_form() -> None:
    pattern = {
        "frequency": "weekly",
        "interval": None,
        "daysOfWeek": [5, 1, 5],
        "dayOfMonth": None,
        "endRecurrenceDate": "2027-12-31T00:00:00.000Z",
    }

    assert parse_pattern(pattern) == {
        "frequency": "weekly",
        "daysOfWeek": [1, 5],
        "endRecurrenceDate": "2027-12-31",
    }
    assert parse_pattern(None) is None
    assert parse_pattern(
        {"frequency": "weekly", "daysOfWeek": None, "endRecurrenceDate": None}
    ) == {"frequency": "weekly"}


@pytest.mark.parametrize("value", ["Mars/Base", "../etc/passwd", "", 5])
def test_an_unknown_time_zone_is_refused(value: object) -> None:
    with pytest.raises(InvalidValueError, match="IANA name"):
        parse_time_zone(value)
    assert parse_time_zone("Europe/Berlin") == "Europe/Berlin"


@pytest.mark.parametrize(
    ("fields", "is_covered"),
    [
        ({"targets": ["m1"]}, True),
        ({"targets": ["m2"]}, False),
        ({"targets": ["m2"], "tag_ids": ["t1"]}, True),
        ({"tag_ids": ["t2"]}, False),
        ({"customer_id": "c1"}, True),
        ({"customer_id": "c2"}, False),
        ({"customer_id": "c2", "targets": ["m1"]}, False),
    ],
)
def test_a_window_covers_what_it_names(fields: Fields, is_covered: bool) -> None:  # noqa: FBT001 - a column of the table
    window = {**MaintenanceWindow.defaults(), **fields}

    found = covers(window, monitor_id="m1", customer_id="c1", tag_ids=frozenset({"t1"}))

    assert found is is_covered


def test_a_channel_keeps_its_secrets_sealed(store: Store, owners: Owners) -> None:
    resources, organization = store.monitoring.resources, owners.organization.id

    channel = resources.create(NotificationChannel, organization, WEBHOOK, TESTER)

    state = b"".join(each.state for each in store.monitoring.recorder.select_events(channel.id))
    assert SECRET.encode() not in state
    assert shown_config("webhook", channel.config) == {
        "url": "https://hooks.example.com/mail",
        "secret": None,
        "hasSecret": True,
    }
    opened = resources.unsealed_channel(channel.id, "webhook", channel.config)
    assert opened["secret"] == SECRET


def test_a_config_is_merged_and_an_unchanged_secret_records_nothing(
    store: Store, owners: Owners
) -> None:
    resources, organization = store.monitoring.resources, owners.organization.id
    channel = resources.create(NotificationChannel, organization, WEBHOOK, TESTER)
    before = head(store)

    def change(config: Fields) -> NotificationChannel:
        return resources.update(
            NotificationChannel, organization, channel.id, {"config": config}, TESTER
        )

    change({"secret": SECRET})
    assert head(store) == before
    changed = change({"url": "https://hooks.example.com/other"})
    opened = resources.unsealed_channel(channel.id, "webhook", changed.config)
    assert opened == {"url": "https://hooks.example.com/other", "secret": SECRET}
    changed = change({"secret": "another-secret"})
    opened = resources.unsealed_channel(channel.id, "webhook", changed.config)
    assert opened["secret"] == "another-secret"


def test_null_clears_a_key_of_a_config_unless_it_is_a_secret(store: Store, owners: Owners) -> None:
    resources, organization = store.monitoring.resources, owners.organization.id
    fields = {**WEBHOOK, "config": {**WEBHOOK["config"], "timeout": 5}}
    channel = resources.create(NotificationChannel, organization, fields, TESTER)
    sent = {"url": WEBHOOK["config"]["url"], "timeout": None, "secret": None, "hasSecret": True}
    config = parse_channel_config("webhook", sent, may_clear=True)

    changed = resources.update(
        NotificationChannel, organization, channel.id, {"config": config}, TESTER
    )

    assert "timeout" not in changed.config
    opened = resources.unsealed_channel(channel.id, "webhook", changed.config)
    assert opened["secret"] == SECRET


def test_a_deleted_channel_gives_no_secret_any_more(store: Store, owners: Owners) -> None:
    resources, organization = store.monitoring.resources, owners.organization.id
    channel = resources.create(NotificationChannel, organization, WEBHOOK, TESTER)

    resources.delete(NotificationChannel, organization, channel.id, TESTER)

    with pytest.raises(SecretUnreadableError):
        resources.unsealed_channel(channel.id, "webhook", channel.config)


def test_a_channel_whose_key_is_lost_takes_a_new_secret(store: Store, owners: Owners) -> None:
    resources, organization = store.monitoring.resources, owners.organization.id
    channel = resources.create(NotificationChannel, organization, WEBHOOK, TESTER)
    store.monitoring.destroy_key(channel.id)

    change = {"config": {"secret": "another-secret"}}
    changed = resources.update(NotificationChannel, organization, channel.id, change, TESTER)

    opened = resources.unsealed_channel(channel.id, "webhook", changed.config)
    assert opened["secret"] == "another-secret"


def test_a_channel_has_one_of_the_types() -> None:
    assert parse_channel_type("webhook") == "webhook"
    with pytest.raises(InvalidValueError, match="must be one of email, sms, webhook"):
        parse_channel_type("pigeon")


def test_a_channel_without_what_its_type_needs_is_refused(store: Store, owners: Owners) -> None:
    fields = {"type": "webhook", "name": "Ops", "config": {}, "category": "direct"}

    with pytest.raises(InvalidInputError) as refused:
        store.monitoring.resources.create(
            NotificationChannel, owners.organization.id, fields, TESTER
        )
    assert problems(refused) == {"config.url": "required"}

    with pytest.raises(InvalidInputError) as refused:
        store.monitoring.resources.create(
            NotificationChannel,
            owners.organization.id,
            {**WEBHOOK, "category": "integration"},
            TESTER,
        )
    assert problems(refused) == {"category": "invalid"}


@pytest.mark.parametrize(
    ("type_name", "config", "expected"),
    [
        ("webhook", 5, {"": "type"}),
        ("webhook", "{", {"": "type"}),
        ("webhook", {"url": 5}, {"url": "type"}),
        ("webhook", {"url": "ftp://example.com"}, {"url": "scheme"}),
        ("webhook", {"url": "https://"}, {"url": "invalid"}),
        ("webhook", {"url": "https://[::1"}, {"url": "invalid"}),
        ("webhook", {"url": "https://a:b@example.com"}, {"url": "user"}),
        ("webhook", {"url": "https://example.com:22/"}, {"url": "port"}),
        ("webhook", {"url": "https://example.com/#x"}, {"url": "fragment"}),
        ("webhook", {"url": "https://example.com/ x"}, {"url": "invalid"}),
        ("webhook", {"url": "https://example.com/" + "x" * 2048}, {"url": "too_long"}),
        ("webhook", {"method": "GET"}, {"method": "invalid"}),
        ("webhook", {"headers": ["a"]}, {"headers": "type"}),
        ("webhook", {"headers": {"Host": "x"}}, {"headers": "reserved"}),
        ("webhook", {"headers": {"webhook-id": "x"}}, {"headers": "reserved"}),
        ("webhook", {"headers": {"a b": "x"}}, {"headers": "invalid"}),
        ("webhook", {"headers": {"A": "x\r\ny"}}, {"headers": "invalid"}),
        ("webhook", {"headers": {f"A{n}": "x" for n in range(21)}}, {"headers": "too_long"}),
        ("webhook", {"bodyTemplate": 5}, {"bodyTemplate": "type"}),
        ("webhook", {"bodyTemplate": "x" * 20_000}, {"bodyTemplate": "too_long"}),
        ("webhook", {"timeout": 60}, {"timeout": "range"}),
        ("webhook", {"retryAttempts": -1}, {"retryAttempts": "type"}),
        ("webhook", {"expectedStatusCodes": 200}, {"expectedStatusCodes": "type"}),
        ("webhook", {"expectedStatusCodes": "200,ok"}, {"expectedStatusCodes": "type"}),
        ("webhook", {"expectedStatusCodes": [302]}, {"expectedStatusCodes": "range"}),
        ("webhook", {"secret": "short"}, {"secret": "length"}),
        ("webhook", {"secret": "with\na\nline"}, {"secret": "invalid"}),
        ("webhook", {"uri": "https://example.com"}, {"uri": "unknown"}),
        ("email", {"email": "nobody"}, {"email": "invalid"}),
        ("email", {"cc": "ops@example.com"}, {"cc": "type"}),
        ("email", {"cc": ["ops@example.com"] * 51}, {"cc": "too_long"}),
        ("email", {"cc": [None]}, {"cc": "required"}),
        ("webhook", {"secret": 5}, {"secret": "length"}),
        ("webhook", {"secret": "eight\tlong"}, {"secret": "invalid"}),
        ("sms", {"phoneNumber": "call me"}, {"phoneNumber": "invalid"}),
        ("pagerduty", {"routingKey": "short"}, {"routingKey": "invalid"}),
        ("telegram", {"url": "nothing"}, {"url": "invalid"}),
        ("telegram", {"url": "tgram://a b"}, {"url": "invalid"}),
    ],
)
def test_a_wrong_config_names_its_key(
    type_name: str, config: object, expected: dict[str, str]
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_channel_config(type_name, config)

    assert problems(refused) == expected


def test_configs_are_read_in_their_documented_forms() -> None:
    webhook = {
        "url": "https://example.com:8443/hook",
        "method": "put",
        "headers": {"Authorization": "Bearer x"},
        "bodyTemplate": "{{incident}}",
        "timeout": 10,
        "retryAttempts": 3,
        "retryDelay": 60,
        "expectedStatusCodes": "204,200",
        "secret": None,
        "hasSecret": True,
    }

    assert parse_channel_config("webhook", webhook) == {
        "url": "https://example.com:8443/hook",
        "method": "PUT",
        "headers": {"Authorization": "Bearer x"},
        "bodyTemplate": "{{incident}}",
        "timeout": 10,
        "retryAttempts": 3,
        "retryDelay": 60,
        "expectedStatusCodes": [200, 204],
    }
    assert parse_channel_config(
        "email", '{"email": "ops@example.com", "to": "Ops", "cc": ["a@example.com"]}'
    ) == {"email": "ops@example.com", "to": "Ops", "cc": ["a@example.com"]}
    assert parse_channel_config("sms", {"phoneNumber": "+49 170 1234567"})
    assert parse_channel_config("pagerduty", {"routingKey": "a" * 32})
    assert parse_channel_config("webhook", {"secret": SECRET}) == {"secret": SECRET}
    assert parse_channel_config("ntfy", {"url": "ntfys://topic"})


def test_only_types_beyond_the_documented_protocols_need_the_extra() -> None:
    assert not any(
        CHANNEL_TYPES[each].needs_extra
        for each in ("email", "webhook", "slack", "teams", "discord", "pagerduty")
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], {"": "type"}),
        ("{", {"": "type"}),
        ({"onlyFullService": 1}, {"onlyFullService": "type"}),
        ({"minIncidentDuration": -1}, {"minIncidentDuration": "range"}),
        ({"minDuration": 1}, {"minDuration": "unknown"}),
    ],
)
def test_wrong_conditions_name_their_key(value: object, expected: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_conditions(value)

    assert problems(refused) == expected


def test_conditions_are_read_in_their_documented_form() -> None:
    assert parse_conditions('{"minIncidentDuration": 300}') == {"minIncidentDuration": 300}
    assert parse_conditions({}) is None
    assert parse_conditions(None) is None
    assert parse_conditions({"onlyFullService": True}) == {"onlyFullService": True}


def test_tags_are_put_on_monitors_and_taken_away(store: Store, owners: Owners) -> None:
    resources, organization = store.monitoring.resources, owners.organization.id
    monitor = store.monitoring.create_monitor(owners.create(), TESTER)
    one, other = (
        resources.create(Tag, organization, {"name": name, "color": "red"}, TESTER)
        for name in ("Production", "Mail")
    )

    resources.tag_monitor(organization, monitor.id, one.id, TESTER)
    resources.tag_monitor(organization, monitor.id, one.id, TESTER)
    resources.tag_monitor(organization, monitor.id, other.id, TESTER)
    resources.untag_monitor(organization, monitor.id, one.id, TESTER)
    resources.untag_monitor(organization, monitor.id, one.id, TESTER)
    resources.untag_monitor(uuid4(), monitor.id, other.id, TESTER)

    stream = monitor_tags_id(monitor.id)
    topics = [get_topic(type(each)) for each in store.monitoring.events.get(stream)]
    assert topics == ["MonitorFirstTagged", "MonitorTagged", "MonitorUntagged"]
    tags = store.monitoring.load(MonitorTags, stream, "none")
    assert list(tags.since) == [str(other.id)]
    assert monitor.version == 1
    with pytest.raises(NotFoundError, match="Monitor not found"):
        resources.tag_monitor(organization, uuid4(), one.id, TESTER)
    store.monitoring.delete_monitor(monitor.id, TESTER)
    with pytest.raises(NotFoundError, match="Monitor not found"):
        resources.tag_monitor(organization, monitor.id, one.id, TESTER)
    with pytest.raises(InvalidValueError) as refused:
        parse_color("purple")
    assert refused.value.code == "invalidTagColor"
    assert parse_color("teal") == "teal"


def test_a_package_is_made_changed_deleted_and_made_anew(store: Store, owners: Owners) -> None:
    resources, organization = store.monitoring.resources, owners.organization.id

    made = resources.set_package(organization, "pro", {"alertConsecutiveChecks": 5}, TESTER)
    changed = resources.set_package(organization, "pro", {"displayName": "Pro"}, TESTER)
    stored = head(store)
    resources.set_package(organization, "pro", {"displayName": "Pro"}, TESTER)
    assert head(store) == stored
    resources.delete(PackageConfig, organization, made.id, TESTER)
    anew = resources.set_package(organization, "pro", {"maxUrls": 7}, TESTER)

    assert changed.id == made.id != anew.id
    assert (made.number, anew.number) == (1, 2)
    state: dict[str, Any] = vars(anew)
    assert (state["alertConsecutiveChecks"], state["displayName"], state["maxUrls"]) == (3, None, 7)
    topics = [get_topic(type(each)) for each in store.monitoring.events.get(made.id)]
    assert topics == ["PackageConfigCreated", "PackageConfigUpdated", "PackageConfigDeleted"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("maxUrls", "many"),
        ("maxUrls", -1),
        ("maxUrls", 10_000_000),
        ("enableSslCheck", 1),
        ("notes", 5),
        ("notes", "x" * 2001),
        ("displayName", ""),
        ("alertConsecutiveChecks", 0),
        ("alertConsecutiveChecks", "3"),
        ("alertLocationThreshold", "most"),
        ("alertReminderInterval", 1),
        ("alertReminderInterval", False),
        ("alertPerformanceThresholdMs", 0),
        ("alertCertificateDays", 30),
        ("alertCertificateDays", [0]),
        ("alertCertificateDays", list(range(1, 12))),
    ],
)
def test_a_wrong_value_of_a_package_is_refused(key: str, value: object) -> None:
    with pytest.raises(InvalidValueError):
        PACKAGE_PARSERS[key](value)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("maxUrls", None, None),
        ("maxUrls", 100, 100),
        ("alertLocationThreshold", "any", "any"),
        ("notes", None, None),
        ("notes", "For\ntwo", "For\ntwo"),
        ("displayName", None, None),
        ("enableSslCheck", False, False),
        ("alertReminderInterval", 0, 0),
        ("alertPerformanceThresholdMs", None, None),
        ("alertCertificateDays", [1, 30, 1], [30, 1]),
    ],
)
def test_a_value_of_a_package_is_kept_in_its_normal_form(
    key: str, value: object, expected: object
) -> None:
    assert PACKAGE_PARSERS[key](value) == expected


def test_the_policy_of_a_monitor_follows_from_package_customer_and_monitor() -> None:
    package = {"alertConsecutiveChecks": 5, "enableSmsAlerts": False, "displayName": "Pro"}

    assert policy_of(None) == DEFAULT
    policy = policy_of(package, 3, {"alertRecoveryChecks": 2, "alertCertificateDays": [7]})
    assert (policy.consecutive_checks, policy.location_count, policy.recovery_checks) == (5, 3, 2)
    assert policy.certificate_days == (7,)
    assert policy.channels_off == {"sms"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], {"": "type"}),
        ({"alertChecks": 3}, {"alertChecks": "unknown"}),
        ({"alertConsecutiveChecks": 21}, {"alertConsecutiveChecks": "range"}),
    ],
)
def test_a_wrong_policy_names_its_key(value: object, expected: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_alert_policy(value)

    assert problems(refused) == expected


def test_a_policy_is_read_in_its_documented_form() -> None:
    assert parse_alert_policy({"alertConsecutiveChecks": 2}) == {"alertConsecutiveChecks": 2}
    assert parse_alert_policy({}) is None
    assert parse_alert_policy(None) is None

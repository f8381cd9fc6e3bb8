"""Events as released versions stored them, byte by byte. They must stay readable for ever.

Nothing here is ever changed. A new event, or a new form of one, is added below the old.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Frozen(NamedTuple):
    """A row of a log, as it was written."""

    log: str
    topic: str
    originator_id: str
    originator_version: int
    state: bytes


MASTER_KEY: Final = bytes(range(32))
WRAPPED_KEY: Final = (
    "MwxLG8StxWtT+BXP1twfdDHJMpXBB6MifVBnnUXMmeimusquY0iGmFCdwnLuthBB0UJuWn2jePPeOQjQ"
)
"""The data key of the monitor below, in base64, wrapped by `MASTER_KEY`."""

EVENTS: Final = (
    Frozen(
        "monitoring",
        "Registered",
        "2c8611b2-07c5-5b0e-87db-1613a1db9d00",
        1,
        b'{"timestamp":"2026-01-01T12:01:00.123456+00:00","registered_id":"ffccd01d-8300-'
        b'4685-8db7-d946910f77dd","actor":{"type":"operator","id":"tester"}}',
    ),
    Frozen(
        "monitoring",
        "OrganizationCreated",
        "ffccd01d-8300-4685-8db7-d946910f77dd",
        1,
        b'{"timestamp":"2026-01-01T12:01:00.123456+00:00","originator_topic":"Organizatio'
        b'n","number":1,"name":"Example Organization","actor":{"type":"operator","id":"te'
        b'ster"}}',
    ),
    Frozen(
        "monitoring",
        "Registered",
        "3f429f9e-dd55-5d73-abaa-d1aa2ea96529",
        1,
        b'{"timestamp":"2026-01-01T12:02:00+00:00","registered_id":"00066c5d-f05d-477e-a6'
        b'b0-b066b6a8439e","actor":{"type":"operator","id":"tester"}}',
    ),
    Frozen(
        "monitoring",
        "CustomerCreated",
        "00066c5d-f05d-477e-a6b0-b066b6a8439e",
        1,
        b'{"timestamp":"2026-01-01T12:02:00+00:00","originator_topic":"Customer","number"'
        b':1,"organization_id":"ffccd01d-8300-4685-8db7-d946910f77dd","name":"Example Cus'
        b'tomer","email":"ops@example.com","details":{},"actor":{"type":"operator","id":"'
        b'tester"}}',
    ),
    Frozen(
        "monitoring",
        "Registered",
        "2262b0e2-778a-50f0-a3ba-6bd6f7eeb870",
        1,
        b'{"timestamp":"2026-01-01T12:03:00.123456+00:00","registered_id":"1a024790-12c9-'
        b'4871-b3d9-e391f98845ab","actor":{"type":"token","id":"00000000-0000-4000-8000-0'
        b'0000000000a","name":"Ops","role":"admin","request_id":"request-1"}}',
    ),
    Frozen(
        "monitoring",
        "TokenIssued",
        "1a024790-12c9-4871-b3d9-e391f98845ab",
        1,
        b'{"timestamp":"2026-01-01T12:03:00.123456+00:00","originator_topic":"AccessToken'
        b'","number":1,"organization_id":"ffccd01d-8300-4685-8db7-d946910f77dd","customer'
        b'_id":"00066c5d-f05d-477e-a6b0-b066b6a8439e","name":"Reader","role":"readonly","'
        b'token_hash":"0442cdcdab002078402f5dc8a888979f5e828d0bb9b744022294af0364614ef4",'
        b'"hint":"wsm_ffff...","expires_at":"2027-01-01T00:00:00.000Z","actor":{"type":"t'
        b'oken","id":"00000000-0000-4000-8000-00000000000a","name":"Ops","role":"admin","'
        b'request_id":"request-1"}}',
    ),
    Frozen(
        "monitoring",
        "TokenRevoked",
        "1a024790-12c9-4871-b3d9-e391f98845ab",
        2,
        b'{"timestamp":"2026-01-01T12:04:00+00:00","actor":{"type":"token","id":"00000000'
        b'-0000-4000-8000-00000000000a","name":"Ops","role":"admin","request_id":"request'
        b'-1"}}',
    ),
    Frozen(
        "monitoring",
        "Registered",
        "7fae8229-fb31-5a17-a42e-3a28e3fb3c08",
        1,
        b'{"timestamp":"2026-01-01T12:05:00.123456+00:00","registered_id":"9581ff92-9882-'
        b'4f76-9f0c-265f9b03943d","actor":{"type":"token","id":"00000000-0000-4000-8000-0'
        b'0000000000a","name":"Ops","role":"admin","request_id":"request-1"}}',
    ),
    Frozen(
        "monitoring",
        "MonitorCreated",
        "9581ff92-9882-4f76-9f0c-265f9b03943d",
        1,
        b'{"timestamp":"2026-01-01T12:05:00.123456+00:00","originator_topic":"Monitor","k'
        b'ind":"smtp","number":1,"organization_id":"ffccd01d-8300-4685-8db7-d946910f77dd"'
        b',"customer_id":"00066c5d-f05d-477e-a6b0-b066b6a8439e","name":"Outbound SMTP","h'
        b'ostname":"smtp.example.com","port":587,"status":"active","check_interval":0.5,"'
        b'timeout_seconds":30,"notification_email":null,"notification_phone_number":null,'
        b'"allowed_check_country_codes":null,"config":{"secure":false,"auth":{"user":"use'
        b'rname","pass":"sealed:v1:nSimaI+GMkDHuGTxTX6Z7A/M4GC5mpTO6xQzqAKGmL9BDP50"},"x"'
        b':{"_type_":"x","_data_":"y"}},"actor":{"type":"token","id":"00000000-0000-4000-'
        b'8000-00000000000a","name":"Ops","role":"admin","request_id":"request-1"}}',
    ),
    Frozen(
        "monitoring",
        "Registered",
        "a17813a4-f730-5475-90b5-269dce4c447f",
        1,
        b'{"timestamp":"2026-01-01T12:06:00+00:00","registered_id":"ba35e31b-d47b-46dc-a9'
        b'0e-42546fe2648c","actor":{"type":"token","id":"00000000-0000-4000-8000-00000000'
        b'000a","name":"Ops","role":"admin","request_id":"request-1"}}',
    ),
    Frozen(
        "monitoring",
        "MonitorCreated",
        "ba35e31b-d47b-46dc-a90e-42546fe2648c",
        1,
        b'{"timestamp":"2026-01-01T12:06:00+00:00","originator_topic":"Monitor","kind":"i'
        b'map_pop","number":1,"organization_id":"ffccd01d-8300-4685-8db7-d946910f77dd","c'
        b'ustomer_id":"00066c5d-f05d-477e-a6b0-b066b6a8439e","name":"Mailbox Access","hos'
        b'tname":"mail.example.com","port":null,"status":"disabled","check_interval":60,"'
        b'timeout_seconds":30,"notification_email":"ops@example.com","notification_phone_'
        b'number":"+49 170 1234567","allowed_check_country_codes":["DE","US"],"config":{"'
        b'protocol":"imap","tls":true},"actor":{"type":"token","id":"00000000-0000-4000-8'
        b'000-00000000000a","name":"Ops","role":"admin","request_id":"request-1"}}',
    ),
    Frozen(
        "monitoring",
        "MonitorUpdated",
        "9581ff92-9882-4f76-9f0c-265f9b03943d",
        2,
        b'{"timestamp":"2026-01-01T12:07:00.123456+00:00","changes":{"name":"M\xc3\xbcnst'
        b'er \xf0\x9f\x94\x91","port":null,"status":"maintenance"},"actor":{"type":"token'
        b'","id":"00000000-0000-4000-8000-00000000000a","name":"Ops","role":"admin","requ'
        b'est_id":"request-1"}}',
    ),
    Frozen(
        "monitoring",
        "MonitorDeleted",
        "ba35e31b-d47b-46dc-a90e-42546fe2648c",
        2,
        b'{"timestamp":"2026-01-01T12:08:00+00:00","actor":{"type":"token","id":"00000000'
        b'-0000-4000-8000-00000000000a","name":"Ops","role":"admin","request_id":"request'
        b'-1"}}',
    ),
    Frozen(
        "checks",
        "CheckPerformed",
        "e4166bfe-4783-5214-81b8-6422fabe2ba0",
        1,
        b'{"timestamp":"2026-01-01T12:00:00+00:00","monitor_id":"9581ff92-9882-4f76-9f0c-'
        b'265f9b03943d","monitor_version":1,"kind":"smtp","location":"de-nbg","due_at":"2'
        b'026-01-01T12:00:00.000Z","started_at":"2026-01-01T12:00:00.000Z","outcome":{"ve'
        b'rdict":"down","category":"timeout"},"actor":{"type":"checker","id":"de-nbg/1"}}',
    ),
    Frozen(
        "monitoring",
        "CustomerUpdated",
        "00066c5d-f05d-477e-a6b0-b066b6a8439e",
        2,
        b'{"timestamp":"2026-01-01T12:21:00.005000+00:00","changes":{"name":"Renamed","al'
        b'lowed_check_country_codes":["DE"],"custom_fields":{"_type_":"x","_data_":"y"},"'
        b'notification_email":null},"actor":{"type":"token","id":"00000000-0000-4000-8000'
        b'-00000000000a","name":"Ops","role":"admin","request_id":"request-1"}}',
    ),
    Frozen(
        "monitoring",
        "TokenUsed",
        "1a024790-12c9-4871-b3d9-e391f98845ab",
        3,
        b'{"timestamp":"2026-01-01T12:22:00.005000+00:00","actor":{"type":"token","id":"0'
        b'0000000-0000-4000-8000-00000000000a","name":"Ops","role":"admin","request_id":"'
        b'request-1"}}',
    ),
    Frozen(
        "monitoring",
        "LocationRegistered",
        "346f3276-01c4-5dd4-872e-69879e41b2a0",
        1,
        b'{"timestamp":"2026-01-01T12:20:00.005000+00:00","originator_topic":"MonitoringL'
        b'ocation","number":1,"code":"de-nbg","name":"Nuremberg (DE)","country":"DE","act'
        b'or":{"type":"checker","id":"de-nbg/1"}}',
    ),
    Frozen(
        "monitoring",
        "LocationUpdated",
        "346f3276-01c4-5dd4-872e-69879e41b2a0",
        2,
        b'{"timestamp":"2026-01-01T12:23:00.005000+00:00","changes":{"country":null},"act'
        b'or":{"type":"checker","id":"de-nbg/1"}}',
    ),
    Frozen(
        "monitoring",
        "LocationRetired",
        "346f3276-01c4-5dd4-872e-69879e41b2a0",
        3,
        b'{"timestamp":"2026-01-01T12:23:10.005000+00:00","actor":{"type":"operator","id":'
        b'"tester"}}',
    ),
    Frozen(
        "monitoring",
        "LocationRestored",
        "346f3276-01c4-5dd4-872e-69879e41b2a0",
        4,
        b'{"timestamp":"2026-01-01T12:23:20.005000+00:00","actor":{"type":"checker","id":"'
        b'de-nbg/1"}}',
    ),
    Frozen(
        "monitoring",
        "RequestAnswered",
        "9ffc06d3-21c4-562d-b221-6efeb4e633fa",
        1,
        b'{"timestamp":"2026-01-01T12:24:00.005000+00:00","digest":"5f5f5f5f5f5f5f5f5f5f5'
        b'f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f","made_id":"00000000-0000-4000-8000'
        b'-000000000003","actor":{"type":"token","id":"00000000-0000-4000-8000-0000000000'
        b'0a","name":"Ops","role":"admin","request_id":"request-1"}}',
    ),
    Frozen(
        "monitoring",
        "ChecksArchived",
        "c3491fa9-36bc-573f-9667-eb8f999e31e5",
        1,
        b'{"timestamp":"2026-01-01T12:25:00.005000+00:00","first_position":1,"last_positio'
        b'n":65536,"count":65530,"digest":"5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f5f'
        b'5f5f5f5f5f5f5f5f","actor":{"type":"operator","id":"tester"}}',
    ),
    Frozen(
        "monitoring",
        "Registered",
        "6957db15-ba53-5d3e-80d2-dd1761570dc6",
        1,
        b'{"timestamp":"2026-01-01T12:20:00.005000+00:00","registered_id":"346f3276-01c4-'
        b'5dd4-872e-69879e41b2a0","actor":{"type":"checker","id":"de-nbg/1"}}',
    ),
    Frozen(
        "monitoring",
        "Registered",
        "7fae8229-fb31-5a17-a42e-3a28e3fb3c08",
        2,
        b'{"timestamp":"2026-02-01T12:25:00.005000+00:00","registered_id":"c2a5f8b8-3a55-'
        b'4d5c-9e0e-6a5c4a4b7a11","sort":"smtp","actor":{"type":"token","id":"00000000-0'
        b'000-4000-8000-00000000000a","name":"Ops","role":"admin","request_id":"request-1'
        b'"},"class_version":2}',
    ),
)

"""Headers that make a write safe: `If-Match`, `ETag`, `Idempotency-Key`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from api.http.errors import InvalidParameterError

if TYPE_CHECKING:
    import falcon

    from api.http.permissions import Principal
    from domain.idempotency import IdempotencyKey
    from domain.monitoring import Monitoring


_OUR_VERSIONS: Final = re.compile(r'(?<!W/)"v(\d{1,15})"')
_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS: Final = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*(?:{_TAG})?)*")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


def entity_tag(version: int) -> str:
    """Return the `ETag` of a version of a monitor's configuration (RFC 9110, 8.8.3).

    The tag names the configuration. `lastCheckedAt` changes without it, so no answer is
    "304 Not Modified".
    """
    return f'"v{version}"'


def expected_version(req: falcon.Request) -> int | None:
    """Return the version that `If-Match` asks for; None for any version, 0 for none that exists.

    A tag that the service never gave names no version, and neither does a weak one: the
    comparison is strong (RFC 9110, 13.1.1). Of several tags the newest counts: versions only
    grow, so the others are of the past. Raises 400 for what is no list of entity tags.
    """
    header = req.get_header("If-Match")
    if header is None or header.strip() == "*":
        return None
    if not _TAGS.fullmatch(header.strip()):
        raise InvalidParameterError("If-Match", "send the ETag of a GET, or * for any version")
    return max(map(int, _OUR_VERSIONS.findall(header)), default=0)


def idempotency_key(
    req: falcon.Request, monitoring: Monitoring, principal: Principal, what: str
) -> IdempotencyKey | None:
    """Return the key of a request that may be sent again; None without an `Idempotency-Key`.

    A key counts for one token and one kind of thing (`what`). Call this after the body was
    read: `req.context.body` holds its bytes then. Raises 400 for a malformed key.
    """
    key = req.get_header("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise InvalidParameterError(
            "Idempotency-Key", "1 to 255 printable ASCII characters, no blanks"
        )
    return monitoring.idempotency_key(f"{principal.token_id}/{what}", key, req.context.body)

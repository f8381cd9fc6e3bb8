"""What schemathesis must know of the service under test; it loads this file by itself."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import schemathesis

if TYPE_CHECKING:
    from schemathesis import Case, HookContext


CUSTOMER = 1
OWN_TOKEN = 1
REQUESTS = count(1)


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """Keep the token that the run itself uses, and name a customer that is there."""
    if case.method == "DELETE" and case.path.endswith("/tokens/{number}"):
        spare_own_token(case)
    if case.meta and case.meta.generation.mode.is_positive:
        if isinstance(case.body, dict):
            complete(case.body)
        if "Idempotency-Key" in case.headers:
            # The same few keys come again and again, and would be answered with 409.
            case.headers["Idempotency-Key"] = f"request-{next(REQUESTS)}"
        if "If-Match" in case.headers and next(REQUESTS) % 2:
            case.headers["If-Match"] = "*"  # else nearly every change would be answered with 412


def spare_own_token(case: Case[Any]) -> None:
    """Revoke any token but the first: all later answers would be 401."""
    number = str(case.path_parameters.get("number", "")).lstrip("0")
    if number.partition(".")[0] == str(OWN_TOKEN):
        case.path_parameters["number"] = 10**9


def complete(body: dict[str, Any]) -> None:
    """Say what a schema cannot: which customer there is, and that two keys must agree."""
    if body.get("customerId") is not None:
        body["customerId"] = CUSTOMER
    for own in ("smtpConfig", "imapPopConfig"):
        if own in body and "config" in body:
            body["config"] = body[own]

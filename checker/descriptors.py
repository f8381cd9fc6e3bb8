"""Fits the budget of open sockets to what the system lets this process open."""

from __future__ import annotations

import logging
import resource
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from checker.limits import Limits

log = logging.getLogger("postwatch.checker")

PER_CHECK: Final = 2
"""A check asks for both families of a name at once, or tries two addresses at once."""

RESERVE: Final = 128
"""For the logs, the keys, the metrics and the runtime."""


def fit_to_descriptors(limits: Limits) -> Limits:
    """Raise the soft limit of open files as far as needed; return limits that keep within it."""
    wanted = PER_CHECK * limits.open_sockets + RESERVE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not _allows(soft, wanted):
        soft = wanted if _allows(hard, wanted) else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if _allows(soft, wanted):
        return limits
    fitting = max((soft - RESERVE) // PER_CHECK, 1)
    log.warning(
        "at most %d checks at a time instead of %d: this process may open %d files only; "
        "allow %d (ulimit -n, LimitNOFILE)",
        *(fitting, limits.open_sockets, soft, wanted),
    )
    return replace(limits, open_sockets=fitting)


def _allows(limit: int, wanted: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= wanted

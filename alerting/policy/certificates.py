"""Levels at which people hear of the end of a certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alerting.policy.facts import Certificate
    from alerting.policy.votes import Watch


_DAY: Final = 86_400.0
_SHARE_OF_LIFE: Final = 3
"""A short-lived certificate is worth a word in the last third of its life."""


class Expiry(NamedTuple):
    """The certificate of a server that ends first, and the tightest level that it has reached."""

    fingerprint: str
    level: int


def level_of(certificate: Certificate, levels: Sequence[int], now: float) -> int | None:
    """Return the tightest level, in days, that a certificate has reached; None for none."""
    life_days = (certificate.not_after - certificate.not_before) / _DAY
    days_left = (certificate.not_after - now) / _DAY
    reached = [each for each in levels if days_left <= min(each, life_days / _SHARE_OF_LIFE)]
    return min(reached, default=None)


def expiry_of(watch: Watch, now: float) -> Expiry | None:
    """Return what ends first of the certificates that the places saw last; None for none."""
    seen = [
        place.certificate
        for _, place in watch.eligible()
        if place is not None and place.certificate is not None
    ]
    if not seen:
        return None
    first = min(seen, key=lambda each: each.not_after)
    level = level_of(first, watch.monitor.policy.certificate_days, now)
    return None if level is None else Expiry(first.fingerprint, level)

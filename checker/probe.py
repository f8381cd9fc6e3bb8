"""The way in: asks a mail server whether a client could use it, and answers with an outcome.

A failed probe is a value; a bug of ours, and a cancellation from outside, are exceptions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from checker.attempt import Attempt, Equipment
from checker.certificates import CertificateJudge
from checker.course import Course
from checker.dns_queries import DnsClient
from checker.failure import ProbeFailed
from checker.names import Resolver
from checker.network_policy import NetworkPolicy
from checker.tls import probing_context
from checker.trust_store import load_trust_store
from domain.outcome import Category, Outcome, Phase, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from checker.target import ProbeTarget
    from checker.trace import Trace


class Prober:
    """Probes mail servers. Made once per process, used by any number of tasks at a time."""

    def __init__(self, resolver: Resolver, policy: NetworkPolicy, judge: CertificateJudge) -> None:
        self._equipment = Equipment(resolver, policy, judge, probing_context())

    @classmethod
    def from_settings(
        cls,
        allowed_networks: Sequence[str] = (),
        resolvers: Sequence[str] = (),
        ca_file: Path | None = None,
    ) -> Prober:
        """Make a prober from what an operator sets; empty means the defaults.

        Raises:
            ValueError: A setting is wrong; the text says which and why.
        """
        return cls(
            Resolver(DnsClient(resolvers)),
            NetworkPolicy.parse(allowed_networks),
            CertificateJudge(load_trust_store(ca_file)),
        )

    async def probe(self, target: ProbeTarget, *, trace: Trace | None = None) -> Outcome:
        """Contact a server once, within `target.timeout_seconds`, and say what came of it.

        `trace` collects the dialogue. Whatever the network, the server or its name servers
        do becomes part of the outcome.
        """
        course = Course(target, trio.current_time, trace)
        failure: ProbeFailed | None = None
        with trio.move_on_after(target.timeout_seconds) as scope:
            try:
                await Attempt(target, self._equipment, course, scope).run()
            except ProbeFailed as failed:
                failure = failed
        if scope.cancelled_caught:
            failure = _timed_out(target, course)
        return _outcome(target, course, failure)


def _timed_out(target: ProbeTarget, course: Course) -> ProbeFailed:
    category = Category.DNS_TIMEOUT if course.phase is Phase.DNS else Category.TIMEOUT
    message = f"no answer within {target.timeout_seconds:g} s"
    if course.phase is Phase.GREETING and not course.heard_anything and target.tls != "implicit":
        message += "; does the server expect TLS from the first byte on this port?"
    return ProbeFailed(category, message)


def _outcome(target: ProbeTarget, course: Course, failure: ProbeFailed | None) -> Outcome:
    if failure is not None and course.phase is Phase.QUIT:
        # The server has shown that it works: how it says goodbye does not change that.
        is_late = failure.category is Category.TIMEOUT
        course.warn("quit_timeout" if is_late else "quit_unclean", failure.message)
        failure = None
    reply = failure.reply if failure else None
    return Outcome(
        verdict=Verdict.DOWN if failure else Verdict.UP,
        category=failure.category if failure else Category.OK,
        phase=(failure.phase or course.phase) if failure else None,
        message=failure.message if failure else "the server can be used",
        timings_ms=course.timings_ms(),
        address=course.address,
        port=target.port,
        server_reply=course.clean(reply) if reply is not None else None,
        tls=course.tls,
        warnings=course.warnings,
    )

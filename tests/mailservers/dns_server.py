"""A name server on loopback with the answers that a test gives it; it can stay silent."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.mailservers.processes import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator


Zone: TypeAlias = Mapping[str, Sequence[str] | str]
"""Names to their addresses, or to `servfail`, `refused` or `silent`.

A name that is not listed does not exist; one without addresses exists and has none.
"""

_RCODES = {"servfail": dns.rcode.SERVFAIL, "refused": dns.rcode.REFUSED}
TTL_SECONDS = 60


class DnsServer:
    """A running name server. `address` is for the checker's setting of resolvers."""

    def __init__(self, zone: Zone, endpoint: socket.socket, silent_kinds: Sequence[str]) -> None:
        self.address = "{}:{}".format(*endpoint.getsockname())
        self.queries: Counter[str] = Counter()
        self._zone = zone
        self._silent_kinds = silent_kinds
        self._endpoint = endpoint

    def serve(self) -> None:
        """Answer until an empty datagram comes."""
        while True:
            data, client = self._endpoint.recvfrom(4096)
            if not data:
                return
            answer = self._answer(dns.message.from_wire(data))
            if answer is not None:
                self._endpoint.sendto(answer.to_wire(), client)

    def _answer(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        self.queries[name] += 1
        entry = self._zone.get(name)
        if entry == "silent" or question.rdtype.name in self._silent_kinds:
            return None
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if entry is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif isinstance(entry, str):
            answer.set_rcode(_RCODES[entry])
        else:
            _add_addresses(answer, question, entry)
        return answer


def _add_addresses(
    answer: dns.message.Message, question: dns.rrset.RRset, entry: Sequence[str]
) -> None:
    is_ipv6 = question.rdtype == dns.rdatatype.AAAA
    addresses = [each for each in entry if (":" in each) == is_ipv6]
    if addresses:
        answer.answer.append(
            dns.rrset.from_text(question.name, TTL_SECONDS, "IN", question.rdtype, *addresses)
        )


@contextlib.contextmanager
def dns_server(zone: Zone, *, silent_kinds: Sequence[str] = ()) -> Iterator[DnsServer]:
    """Run a name server until the block ends; it leaves some kinds of query unanswered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.bind((LOOPBACK, 0))
        server = DnsServer(zone, endpoint, silent_kinds)
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
                waker.sendto(b"", endpoint.getsockname())
            thread.join()

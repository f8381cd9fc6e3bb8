"""The cost of one check of the same stub by comparable products, if they are installed.

They have no schedule and keep no record: only the probe is compared.
"""

from __future__ import annotations

import http.client
import resource
import shutil
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.checker_product import cpu_of
from benchmarks.checker_stub import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.checker_stub import Ports


PLUGINS: Final = Path("/usr/lib/nagios/plugins")
EXPORTER: Final = "prometheus-blackbox-exporter"
AT_A_TIME: Final = 16
_OK: Final = 200

_MODULES: Final = """
modules:
  plain: &plain
    prober: tcp
    timeout: 5s
    tcp:
      query_response:
        - expect: "^220"
        - send: "EHLO prober"
        - expect: "^250 "
        - send: "QUIT"
  starttls:
    prober: tcp
    timeout: 5s
    tcp:
      query_response:
        - expect: "^220"
        - send: "EHLO prober"
        - expect: "^250 "
        - send: "STARTTLS"
        - expect: "^220"
        - starttls: true
        - send: "EHLO prober"
        - expect: "^250 "
        - send: "QUIT"
      tls_config: {ca_file: "CA_FILE", server_name: "127.0.0.1"}
  tls:
    prober: tcp
    timeout: 5s
    tcp:
      tls: true
      tls_config: {ca_file: "CA_FILE", server_name: "127.0.0.1"}
      query_response:
        - expect: "^220"
        - send: "EHLO prober"
        - expect: "^250 "
        - send: "QUIT"
  imap:
    prober: tcp
    timeout: 5s
    tcp:
      query_response:
        - expect: "^[*] OK"
        - send: "a LOGIN user@example.org password"
        - expect: "^a OK"
        - send: "b LOGOUT"
"""


def exporter_figures(ca_file: Path, ports: Ports, probes: int) -> dict[str, float] | None:
    """Return milliseconds of CPU a probe of blackbox_exporter; None when it is not there."""
    if shutil.which(EXPORTER) is None:
        return None
    wanted = {
        "SMTP plain": ("plain", ports.smtp),
        "SMTP STARTTLS, verified": ("starttls", ports.smtp),
        "SMTP implicit TLS, verified": ("tls", ports.smtps),
        "IMAP login": ("imap", ports.imap),
    }
    with _exporter(ca_file) as (pid, port):
        return {
            name: _ask_exporter(pid, port, f"module={module}&target={HOST}:{target}", probes)
            for name, (module, target) in wanted.items()
        }


@contextmanager
def _exporter(ca_file: Path) -> Iterator[tuple[int, int]]:
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as modules:
        modules.write(_MODULES.replace("CA_FILE", str(ca_file)))
        modules.flush()
        command = [
            EXPORTER,
            f"--config.file={modules.name}",
            f"--web.listen-address={HOST}:{port}",
            "--log.level=error",
        ]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                _wait_for_port(port)
                yield process.pid, port
            finally:
                process.terminate()


def _wait_for_port(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"{EXPORTER} does not listen")


def _ask_exporter(pid: int, port: int, query: str, probes: int) -> float:
    def some(number: int) -> None:
        connection = http.client.HTTPConnection(HOST, port, timeout=10)
        for _ in range(number):
            connection.request("GET", f"/probe?{query}")
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != _OK or b"probe_success 1" not in text:
                raise RuntimeError(f"{EXPORTER} failed: {query}")
        connection.close()

    before = cpu_of(pid)
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(some, [probes // AT_A_TIME] * AT_A_TIME))
    return (cpu_of(pid) - before) * 1000 / (probes // AT_A_TIME * AT_A_TIME)


def plugin_figures(ports: Ports, checks: int) -> dict[str, float | None]:
    """Return milliseconds of CPU a check of the plugins; None for what is not there."""
    commands = {
        "check_smtp, plain": ["check_smtp", "-H", HOST, "-p", str(ports.smtp)],
        "check_smtp, STARTTLS": ["check_smtp", "-H", HOST, "-p", str(ports.smtp), "-S"],
        "check_imap, greeting": ["check_imap", "-H", HOST, "-p", str(ports.imap)],
    }
    return {name: _run_plugin(command, checks) for name, command in commands.items()}


def _run_plugin(command: list[str], checks: int) -> float | None:
    program = PLUGINS / command[0]
    if not program.is_file():
        return None
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(checks):
        subprocess.run([program, *command[1:]], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used * 1000 / checks

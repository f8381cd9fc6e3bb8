"""What a check costs, and what many of them do to each other. Loopback only.

    python -m benchmarks.checker [path] [peers] [memory] [product] [hanging] [deadline]
                                [--quick]

Without names all parts run, one after the other; the slow ones take some minutes. Folders
and processes are gone afterwards. Compare the CPU per check: it depends less than rates do on
other load of the machine, and the ratios within one run depend on it least.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import checker_deadline
from benchmarks.checker_hanging import Load, compare, run_beside_hanging, show
from benchmarks.checker_path import bare_handshake, kinds, plain_probe, prober_for, whole_path
from benchmarks.checker_peers import exporter_figures, plugin_figures
from benchmarks.checker_product import product_run
from benchmarks.checker_stub import running_stub
from tests.mailservers.certificates import CertificateShop

if TYPE_CHECKING:
    from benchmarks.checker_stub import Ports


PARTS: Final = ("path", "peers", "memory", "product", "hanging", "deadline")


class Benchmark:
    """The parts, with a stub to ask."""

    def __init__(self, ca_file: Path, ports: Ports, *, quick: bool) -> None:
        self._ca_file = ca_file
        self._ports = ports
        self._quick = quick
        self._prober = prober_for(ca_file)
        self._paths: dict[str, float] = {}

    def path(self) -> None:
        """Show CPU per check of the whole path, beside what cannot be saved."""
        repeats, seconds = (1, 2.0) if self._quick else (3, 5.0)
        probes = 1280 if self._quick else 6400
        bare: list[float] = []
        plain: list[float] = []
        whole: dict[str, list[float]] = {}
        for _ in range(repeats):
            bare.append(bare_handshake(self._ca_file, self._ports.smtps, probes // 8))
            plain.append(plain_probe(self._prober, self._ports.smtp, probes))
            for name, fields in kinds(self._ports).items():
                floor = plain[-1] + (bare[-1] if "TLS" in name else 0)
                cost = whole_path(self._prober, seconds, fields, expected=floor)
                whole.setdefault(name, []).append(cost)
        handshake, probe = statistics.median(bare), statistics.median(plain)
        print(f"\nCPU per check, medians of {repeats}; schedule, probe and durable record")
        _show("bare TLS handshake, blocking", handshake)
        _show("plain SMTP probe alone", probe)
        for name, costs in whole.items():
            self._paths[name] = statistics.median(costs)
            floor = probe + (handshake if "TLS" in name else 0)
            what = "handshake + plain probe" if "TLS" in name else "plain probe"
            note = f"{self._paths[name] / floor:.2f} x {what}"
            _show(name, self._paths[name], note)

    def peers(self) -> None:
        """Show what the peers need, and how we compare when our path was measured too."""
        print("\nCPU per check of peers, which keep no schedule and no record")
        exporter = exporter_figures(self._ca_file, self._ports, 320 if self._quick else 3200)
        if exporter is None:
            print("  blackbox_exporter: not installed (prometheus-blackbox-exporter)")
        for name, cost in (exporter or {}).items():
            ours = self._paths.get(name)
            note = f"ours with schedule and record is {ours / cost:.2f} of it" if ours else ""
            _show(f"blackbox_exporter, {name}", cost, note)
        for name, plugin in plugin_figures(self._ports, 30 if self._quick else 200).items():
            if plugin is None:
                print(f"  {name}: not installed (monitoring-plugins-basic)")
            else:
                _show(name, plugin)

    def memory(self) -> None:
        """Show what monitors at rest need, each size in a process of its own."""
        sizes = (0, 1000) if self._quick else (0, 10_000, 100_000)
        print("\nmemory of a checker at rest")
        resident = {}
        for monitors in sizes:
            command = [sys.executable, "-m", "benchmarks.checker_memory", str(monitors)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            used, start = map(float, done.stdout.split())
            resident[monitors] = used
            each = (used - resident[0]) * 1024 / monitors if monitors else 0
            print(f"  {monitors:7,} monitors  {used:7.1f} MiB  {each:5.2f} KiB each", end="")
            print(f"  ready after {start:.1f} s")

    def product(self) -> None:
        """Show the product with 2,000 monitors every 20 s."""
        monitors, seconds = (200, 5.0) if self._quick else (2000, 60.0)
        run = product_run(monitors, self._ports.smtp, seconds)
        print(f"\nproduct: {monitors} SMTP monitors every 20 s, {run.checks} checks in {seconds} s")
        both = run.checker_cpu + run.projections_cpu
        print(f"  CPU of one core: checker {run.checker_cpu:.1%}, ", end="")
        print(f"projections {run.projections_cpu:.1%}, both {both:.1%}")
        print(f"  memory of the checker {run.checker_mebibytes:.0f} MiB")
        print(f"  lateness p50 {run.lateness_p50:.1f} ms, p99 {run.lateness_p99:.1f} ms, ", end="")
        print(f"max {run.lateness_max:.1f} ms; views {run.views_behind} events behind")
        print(f"  after a restart all were checked again within {run.catch_up_seconds:.1f} s")

    def hanging(self) -> None:
        """Show healthy monitors without and with hanging ones beside them."""
        monitors, interval, seconds = (400, 6.0, 6.0) if self._quick else (10_000, 60.0, 60.0)
        print(f"\n{monitors} monitors every {interval:g} s; a tenth hangs in each of six phases")
        loads = [Load(monitors, each, interval, seconds) for each in (0, monitors * 6 // 10)]
        runs = [run_beside_hanging(self._ca_file, self._ports, each) for each in loads]
        for load, run in zip(loads, runs, strict=True):
            show(load, run)
        compare(*runs)

    def deadline(self) -> None:
        """Show how exactly the timeout of a check ends it."""
        print("\nchecks of servers that stall end so long after their timeout")
        checker_deadline.show(checker_deadline.overtimes_ms(self._prober, 3 if self._quick else 20))


def _show(name: str, milliseconds: float, note: str = "") -> None:
    print(f"  {name:44} {milliseconds:6.2f} ms  {note}", flush=True)


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="small and imprecise")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    logging.basicConfig(level="ERROR")
    with tempfile.TemporaryDirectory() as name:
        folder, shop = Path(name), CertificateShop()
        ca_file = folder / "ca.pem"
        ca_file.write_bytes(shop.ca_pem)
        with running_stub(*shop.good.write(folder)) as ports:
            benchmark = Benchmark(ca_file, ports, quick=arguments.quick)
            for part in arguments.parts or PARTS:
                getattr(benchmark, part)()


if __name__ == "__main__":
    main()

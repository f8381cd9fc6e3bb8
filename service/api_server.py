"""The process of the API: gunicorn with its settings, log lines and shared counters."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from typing_extensions import override

from api.http.client_address import TrustedProxies
from api.http.request_log import Emit, log_line
from api.storage.rate_counters import SqliteCounter
from projections.catalog import Views
from service import logging as logs
from service.errors import CommandError, ExitCode
from service.http_connections import WaitingConnections
from service.http_worker import ApiWorker, idle_limit, waiting_limit
from service.opening import open_from_settings, wait_for_database
from store.files.data_folder import DataFolder
from store.sqlite.engine import SqliteEngine

if TYPE_CHECKING:
    from collections.abc import Callable

    from gunicorn.workers.base import Worker

    from api.app import App, Options
    from api.http.rate_limit import Counter
    from service.http_protocol import ServerContext
    from service.settings import Settings
    from store.store import Store


log = logging.getLogger("postwatch.api")

SWITCH_SECONDS: Final = 0.001
"""How long a thread computes before another may: the event loop waits so long for its turn."""

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - heartbeats and counts, no wait for a disk


def serve_api(settings: Settings) -> None:
    """Serve the API until a signal ends it.

    Raises CommandError, StoreError or MasterKeyError when it cannot begin.
    """
    # Opened and closed before the fork: a wrong master key ends the process here, in one line.
    wait_for_database(lambda: open_from_settings(settings)).close()
    make_counters_folder(DataFolder(settings.data))
    ApiServer(settings).run()


class RootLogger(Logger):  # type: ignore[misc] # gunicorn has no types
    """Sends gunicorn's own lines to the root logger; the API logs its requests itself."""

    @override
    def setup(self, cfg: Any) -> None:
        self.loglevel = getattr(logging, cfg.loglevel.upper(), logging.INFO)
        self.error_log.setLevel(max(self.loglevel, logging.WARNING))
        self.error_log.propagate = True


class LoggingArbiter(Arbiter):  # type: ignore[misc] # gunicorn has no types
    """Gunicorn's first process, which logs the signal that ends it."""

    @override
    def handle_term(self) -> None:
        """End when the requests under way are answered."""
        log.info("SIGTERM: finishing what is running")
        super().handle_term()

    @override
    def handle_int(self) -> None:
        """End at once."""
        log.info("SIGINT: ending at once")
        super().handle_int()


class ApiServer(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """Gunicorn as Postwatch configures it. Each worker opens the store after the fork."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._views: Views | None = None
        self._worker: Worker | None = None
        super().__init__()

    @override
    def run(self) -> None:
        """Serve until a signal ends it. Raises CommandError when gunicorn cannot begin."""
        try:
            LoggingArbiter(self).run()
        except RuntimeError as error:
            raise CommandError(ExitCode.FAILED, f"the API cannot be served: {error}") from None

    @override
    def load_config(self) -> None:
        """Set what docs/adr/0006-processes.md explains."""
        options = {
            "bind": [self.settings.bind],
            "workers": self.settings.workers,
            "worker_class": ApiWorker,
            "reuse_port": True,
            "control_socket_disable": True,
            "keepalive": 15,
            "timeout": 30,
            "graceful_timeout": 30,
            "worker_tmp_dir": str(SHARED_MEMORY) if SHARED_MEMORY.is_dir() else None,
            "loglevel": self.settings.log_level,
            "logger_class": RootLogger,
            "when_ready": _log_ready,
            "post_fork": self._note_worker,
            "asgi_loop": "asyncio",
            "forwarded_allow_ips": ",".join(self.settings.trusted_proxies),
            "worker_exit": self._close,
            "child_exit": remove_worker_counters,
            "on_exit": remove_counters_folder,
            "proc_name": "postwatch-api",
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    @override
    def load(self) -> App:
        """Return the ASGI application of one worker."""
        # Imported here: the counters read the name of their folder when they are imported.
        from api.app import create_app  # noqa: PLC0415

        assert self._worker is not None  # noqa: S101 - gunicorn has forked it by now
        # A worker that starts while the database is unreachable must not end the others.
        store = wait_for_database(self._open, meanwhile=self._worker.notify)
        assert self._views is not None  # noqa: S101 - opened with the store
        return create_app(store, self._views, self._options(store))

    def server_context(self, now: Callable[[], float]) -> ServerContext:
        """Return what the connections of one worker share."""
        # Imported here: the counters read the name of their folder when they are imported.
        from api.resources.metrics import count_request  # noqa: PLC0415
        from service.http_protocol import ServerContext  # noqa: PLC0415

        waiting = WaitingConnections(self.settings.connections_per_address, waiting_limit(), now)
        proxies = TrustedProxies(self.settings.trusted_proxies)
        return ServerContext(proxies, waiting, self._log_request(), count_request, idle_limit())

    def _open(self) -> Store:
        """Open store and views, and bring the monitors view up to date."""
        with ExitStack() as stack:
            store = stack.enter_context(open_from_settings(self.settings))
            views = stack.enter_context(Views(store))
            _catch_up(views)
            stack.pop_all()
        self._views = views
        return store

    def _note_worker(self, _arbiter: Arbiter, worker: Worker) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        self._worker = worker

    def _options(self, store: Store) -> Options:
        from api.app import Options  # noqa: PLC0415 - as above
        from api.http.quotas import QuotaLimits  # noqa: PLC0415 - as above

        settings, limit = self.settings, self.settings.rate_limit
        quotas = QuotaLimits(
            settings.quota_changes_per_minute,
            settings.quota_log_bytes_per_day,
            settings.quota_monitors,
        )
        counter = counter_of(store) if limit or any(quotas) else None
        return Options(
            limit,
            counter,
            settings.cors_origins,
            self._log_request(),
            TrustedProxies(settings.trusted_proxies),
            metrics_monitors=settings.metrics_monitors,
            archive_after=settings.archive_after,
            quotas=quotas,
        )

    def _log_request(self) -> Emit:
        return logs.request_lines(self.settings.log_format) or log_line

    def _close(self, _arbiter: Arbiter, _worker: Worker) -> None:
        if self._views is not None:
            self._views.close()


def counter_of(store: Store) -> Counter:
    """Return the counter of requests that all workers of a store share."""
    if isinstance(store.engine, SqliteEngine):
        return SqliteCounter(store.folder.views / "rate_limit.db")
    # Imported here: a process with SQLite saves the time and memory of the driver.
    from api.storage.rate_counters import PostgresCounter  # noqa: PLC0415 - as said above
    from store.postgres.engine import PostgresEngine  # noqa: PLC0415 - as said above

    assert isinstance(store.engine, PostgresEngine)  # noqa: S101 - there are two engines
    return PostgresCounter(store.engine.connections)


def _catch_up(views: Views) -> None:
    """Catch up the monitors view; log the views that the projections process must make first."""
    missing = [name for name, each in views.projectors.items() if not each.is_current()]
    if missing:
        log.warning(
            "views not made by this version yet: %s; `postwatch projections run` (a part of "
            "`postwatch up`) makes them, and requests that need them get 503 until then",
            ", ".join(missing),
        )
    if "monitors" not in missing:
        views.projector("monitors").catch_up()


def _log_ready(arbiter: Arbiter) -> None:
    log.info("api: listening on %s with %d workers", arbiter.address, arbiter.num_workers)


def make_counters_folder(folder: DataFolder, shared_memory: Path = SHARED_MEMORY) -> None:
    """Make an empty folder for the Prometheus counters that the workers share.

    It is in shared memory where the system has that: workers map these files, and a write
    to a mapped file on a full disk ends the process (SIGBUS).
    """
    shutil.rmtree(folder.metrics, ignore_errors=True)
    path = _make_in_shared_memory(folder, shared_memory)
    if path is None:
        path = folder.metrics
        folder.make(path)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(path)


def _make_in_shared_memory(folder: DataFolder, shared_memory: Path) -> Path | None:
    """Return an empty folder that belongs to a data folder; None if none can be made."""
    name = hashlib.sha256(str(folder.root.resolve()).encode()).hexdigest()[:16]
    path = shared_memory / f"postwatch-{os.getuid()}-{name}"
    try:
        if path.is_symlink() or (path.exists() and path.stat().st_uid != os.getuid()):
            return None
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700)
    except OSError:
        return None
    return path


def remove_worker_counters(_arbiter: Arbiter, worker: Worker) -> None:
    """Remove the gauges of a worker that ended; its sums stay."""
    # Imported here: it reads the name of the folder when it is imported.
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call] # has no types


def remove_counters_folder(_arbiter: Arbiter) -> None:
    """Remove the folder of the counters."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)

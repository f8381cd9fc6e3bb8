"""The process of a checker: it settles and registers its location, then watches from there."""

from __future__ import annotations

import gc
import logging
from contextlib import ExitStack, closing, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from checker.fleet.leased_claims import LeasedClaims
from checker.run import run_checker
from checker.runtime.limits import Limits, fit_to_open_files
from checker.runtime.location import Location
from checker.runtime.metrics import CheckerMetrics, metrics_server
from checker.schedule.wall_clock import SharedClock
from domain.clock import utc_now
from domain.errors import RetiredError
from mail.net.own_name import find_own_name
from mail.prober import Prober
from service.errors import CommandError, ExitCode
from service.opening import hold_part, open_from_settings, wait_for_database
from service.presence import checker_lock
from service.supervised_part import lock_wait_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domain.location import Registration
    from service.settings import Settings
    from store.store import Store


log = logging.getLogger("postwatch.checker")

DEFAULT_CODE: Final = "local"
"""The location of a checker that no setting names."""

_DEFAULT_NAME: Final = "Local"
"""The name of that location. Any other location is named by its code unless a name is set."""

_OPTIONS: Final = "--location or POSTWATCH_LOCATION"


def watch(settings: Settings, supervisor_pid: int | None) -> None:
    """Check the monitors of the store from one location until SIGTERM or SIGINT.

    Raises CommandError when the settings do not say where, or another process of this data
    folder already checks there.
    """
    prober = _prober(settings)
    location = location_from(settings, is_supervised=supervisor_pid is not None)
    store = wait_for_database(lambda: open_from_settings(settings))
    with store, ExitStack() as stack:
        if not store.engine.has_fleet:
            part, wait_seconds = checker_lock(location.code), lock_wait_seconds(supervisor_pid)
            stack.enter_context(hold_part(store.engine.locks, part, wait_seconds=wait_seconds))
        _run(store, prober, settings, location)


def location_from(settings: Settings, *, is_supervised: bool) -> Location:
    """Return the location that the settings name. Raises CommandError when they must and do not.

    With a database, checkers of several hosts would share an unnamed location, which
    would not say where they are. `postwatch up` is one machine, wherever its store is.
    """
    if settings.location is None and settings.database is not None and not is_supervised:
        raise CommandError(
            ExitCode.SETTINGS_WRONG,
            "settings are wrong: a checker with a database needs a location; name it with "
            f"{_OPTIONS}, such as de-nbg (see `postwatch location list`)",
        )
    code = settings.location or DEFAULT_CODE
    name = settings.location_name or (_DEFAULT_NAME if code == DEFAULT_CODE else code)
    return Location(code, name, settings.country)


def register_location(store: Store, location: Location, *, is_named: bool) -> int:
    """Register the location of a starting checker, log what that changes, return its number.

    `is_named`: the settings name the location, so a retired one comes back into use.
    Raises CommandError when it is retired and they do not.
    """
    try:
        registration = store.monitoring.register_location(
            location.code, location.name, location.country, location.actor, may_restore=is_named
        )
    except RetiredError as error:
        raise CommandError(
            ExitCode.SETTINGS_WRONG,
            f"settings are wrong: {error}; to check from there again name it with {_OPTIONS}, or "
            "name another location",
        ) from None
    _log_changes(registration)
    return registration.location.number


def _log_changes(registration: Registration) -> None:
    code = registration.location.code
    if registration.is_back:
        log.warning("location %s was retired; this start brings it back", code)
    if registration.changes:
        changes = "; ".join(_describe_changes(registration))
        log.warning("this start changes location %s: %s", code, changes)


def _describe_changes(registration: Registration) -> Iterator[str]:
    for field, (before, now) in registration.changes.items():
        yield f"{field} from {before or 'none'} to {now or 'none'}"
    if "country" in registration.changes:
        yield "the country decides which monitors are checked there"


def _run(store: Store, prober: Prober, settings: Settings, location: Location) -> None:
    number = register_location(store, location, is_named=settings.location is not None)
    leases = store.engine.leases(location.code, number)
    metrics, clock, claims = CheckerMetrics(), utc_now, None
    if leases is not None:
        clock = SharedClock()
        claims = LeasedClaims(leases, clock, metrics)
    # Reading the configuration makes very many objects that stay. The collector would go
    # through all of them again and again, and hold up the loop each time.
    gc.disable()
    with serve_metrics(settings, metrics), closing(leases) if leases else nullcontext():
        trio.run(
            partial(
                run_checker,
                store,
                prober.probe,
                location=location,
                policy=_describe_policy(settings),
                limits=fit_to_open_files(Limits()),
                metrics=metrics,
                clock=clock,
                claims=claims,
                on_ready=_collect_garbage_of_checks_only,
            )
        )


def _collect_garbage_of_checks_only() -> None:
    gc.freeze()
    gc.enable()


@contextmanager
def serve_metrics(settings: Settings, metrics: CheckerMetrics) -> Iterator[None]:
    """Serve the metrics while the block runs, if a setting names an address for them.

    Raises CommandError when the address is in use.
    """
    with ExitStack() as stack:
        if settings.metrics_bind is not None:
            host, port = settings.metrics_bind
            try:
                stack.enter_context(metrics_server(metrics, host, port))
            except OSError as error:
                raise CommandError(
                    ExitCode.ADDRESS_IN_USE,
                    f"cannot serve metrics on {host}:{port}: {error.strerror or error}; set "
                    "POSTWATCH_METRICS_BIND to another host:port, or stop the process that "
                    "listens there",
                ) from error
        yield


def _prober(settings: Settings) -> Prober:
    try:
        return Prober.from_settings(
            settings.allowed_networks,
            settings.resolvers,
            settings.ca_file,
            settings.ehlo_name or find_own_name(),
        )
    except ValueError as error:
        raise CommandError(ExitCode.SETTINGS_WRONG, f"settings are wrong: {error}") from None


def _describe_policy(settings: Settings) -> str:
    if not settings.allowed_networks:
        return "public addresses only"
    return f"public addresses and {', '.join(settings.allowed_networks)}"

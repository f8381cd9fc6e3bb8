"""`postwatch checker`: watches the mail servers from one location."""

from __future__ import annotations

import gc
from contextlib import ExitStack, closing, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import click
import trio

from checker.fleet.leased_claims import LeasedClaims
from checker.run import run_checker
from checker.runtime.limits import Limits, fit_to_descriptors
from checker.runtime.metrics import Status, metrics_served
from checker.schedule.wall_clock import SharedClock
from domain.clock import utc_now
from mail.prober import Prober
from service import logging
from service.errors import CommandError, ExitCode, exit_on_failure
from service.opening import awaited, hold, opened_store
from service.presence import arrive, checker_lock, location_of
from service.settings import Option, Settings
from service.supervision import follow_supervisor, lock_wait, supervised_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checker.runtime.location import Location
    from store.store import Store


@click.command()
@click.option("--location", metavar="CODE", help="Where it stands, such as de-nbg.")
@click.option("--name", metavar="NAME", help='The name of that place, such as "Nuremberg (DE)".')
@click.option("--country", metavar="CODE", help="Its country, by ISO 3166-1, such as DE.")
@supervised_option
def checker(
    *, location: str | None, name: str | None, country: str | None, supervised_by: int | None
) -> None:
    """Check the monitors of the store on schedule until stopped.

    The options win over POSTWATCH_LOCATION, POSTWATCH_LOCATION_NAME and POSTWATCH_COUNTRY.
    With a PostgreSQL store any number of checkers share the monitors of one location, which
    must be named. A retired location that is named is in use again.

    SIGTERM lets running checks finish; a second one breaks them off.
    """
    options = {
        "POSTWATCH_LOCATION": Option("--location", location),
        "POSTWATCH_LOCATION_NAME": Option("--name", name),
        "POSTWATCH_COUNTRY": Option("--country", country),
    }
    with exit_on_failure():
        settings = Settings.from_env(options=options)
        logging.configure(settings.log_level, settings.log_format)
        follow_supervisor(supervised_by)
        prober = _prober(settings)
        place = location_of(settings, is_supervised=supervised_by is not None)
        with awaited(lambda: opened_store(settings)) as store, ExitStack() as stack:
            if not store.engine.has_fleet:
                part = checker_lock(place.code)
                wait_seconds = lock_wait(supervised_by)
                stack.enter_context(hold(store.engine.locks, part, wait_seconds=wait_seconds))
            _run(store, prober, settings, place)


def _run(store: Store, prober: Prober, settings: Settings, location: Location) -> None:
    number = arrive(store, location, is_named=settings.location is not None)
    leases = store.engine.leases(location.code, number)
    status, clock, claims = Status(), utc_now, None
    if leases is not None:
        clock = SharedClock()
        claims = LeasedClaims(leases, clock, status)
    # Reading up makes very many objects that stay. Left alone, the collector goes through
    # all of them again and again, and holds up the loop each time.
    gc.disable()
    with _metrics(settings, status), closing(leases) if leases else nullcontext():
        trio.run(
            partial(
                run_checker,
                store,
                prober.probe,
                location=location,
                policy=_policy(settings),
                limits=fit_to_descriptors(Limits()),
                status=status,
                wall=clock,
                claims=claims,
                on_ready=_collect_garbage_of_checks_only,
            )
        )


def _collect_garbage_of_checks_only(_: Status) -> None:
    gc.freeze()
    gc.enable()


@contextmanager
def _metrics(settings: Settings, status: Status) -> Iterator[None]:
    """Serve metrics for as long as the block takes, if they are wanted."""
    with ExitStack() as stack:
        if settings.metrics_bind is not None:
            host, port = settings.metrics_bind
            try:
                stack.enter_context(metrics_served(status, host, port))
            except OSError as error:
                raise CommandError(
                    ExitCode.ADDRESS_IN_USE,
                    f"cannot serve metrics on {host}:{port}: {error.strerror or error}; set "
                    "POSTWATCH_METRICS_BIND to another host:port, or stop what listens there",
                ) from error
        yield


def _prober(settings: Settings) -> Prober:
    try:
        return Prober.from_settings(settings.allowed_networks, settings.resolvers, settings.ca_file)
    except ValueError as error:
        raise CommandError(ExitCode.SETTINGS_WRONG, f"settings are wrong: {error}") from None


def _policy(settings: Settings) -> str:
    if not settings.allowed_networks:
        return "public addresses only"
    return f"public addresses and {', '.join(settings.allowed_networks)}"

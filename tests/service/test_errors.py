"""What a failure prints, wherever it happens."""

from __future__ import annotations

import pytest
import trio

from domain.errors import ConflictError, StoreError
from service.errors import ExitCode, exit_on_failure


async def _fail_in_a_task(*errors: Exception) -> None:
    async def fail(error: Exception) -> None:
        raise error

    async with trio.open_nursery() as outer, trio.open_nursery() as inner:
        outer.start_soon(trio.sleep_forever)
        for error in errors:
            inner.start_soon(fail, error)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConflictError("another checker"), ExitCode.FAILED),
        (StoreError("the schema is old"), ExitCode.STORE_UNUSABLE),
    ],
)
def test_what_fails_in_a_task_is_one_line_too(
    error: Exception, code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, exit_on_failure():
        trio.run(_fail_in_a_task, error)

    assert ended.value.code == code
    assert capsys.readouterr().err == f"postwatch: {error}\n"


def test_a_bug_keeps_its_traceback_and_two_errors_stay_together() -> None:
    with pytest.raises(ZeroDivisionError), exit_on_failure():
        trio.run(_fail_in_a_task, ZeroDivisionError())
    with pytest.raises(ExceptionGroup), exit_on_failure():
        trio.run(_fail_in_a_task, StoreError("one"), StoreError("another"))

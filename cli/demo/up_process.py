"""The demo's `postwatch up --json`, which ends when the demo does: `... up_process PID`.

PID is the demo's own: a demo that is killed leaves no service behind.
"""

from __future__ import annotations

import sys

from cli.main import main
from service.errors import exit_on_failure
from service.supervised_part import exit_with_supervisor

if __name__ == "__main__":
    with exit_on_failure():
        exit_with_supervisor(int(sys.argv[1]))
    main(["up", "--json"])

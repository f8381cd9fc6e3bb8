"""`python -m postwatch`: the `postwatch` command by an interpreter that is named."""

from __future__ import annotations

from cli.main import main

if __name__ == "__main__":
    main(prog_name="postwatch")

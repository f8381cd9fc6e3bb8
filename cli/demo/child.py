"""How the demo ends a process that it started: asked first, made to when that does not help."""

from __future__ import annotations

import subprocess


def stop(process: subprocess.Popen[bytes], patience_seconds: float) -> None:
    """End a process and wait for its end. One that ended by itself is left in peace."""
    process.terminate()
    try:
        process.wait(patience_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

"""Write the document to a file, for `make openapi`."""

from __future__ import annotations

import sys
from pathlib import Path

from api.catalog import document_text

if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(document_text())

"""`python -m celonis_frames` is the command `celonis-frames`."""

from __future__ import annotations

import sys

from celonis_frames._cli.main import main

if __name__ == "__main__":
    sys.exit(main())

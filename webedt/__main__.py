"""`python -m webedt` is `webedt`."""

import sys

from webedt.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

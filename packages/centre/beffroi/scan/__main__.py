"""``python -m beffroi.scan``: see ``server``."""

import sys

from beffroi.scan.server import main

if __name__ == "__main__":
    sys.exit(main())

"""``python -m beffroi.previews``: see ``server``."""

import sys

from beffroi.previews.server import main

if __name__ == "__main__":
    sys.exit(main())

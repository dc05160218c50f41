"""``python -m engine``, which is ``poselab`` where it is installed: see :mod:`cli.main`."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main())

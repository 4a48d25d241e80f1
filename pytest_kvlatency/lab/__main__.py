"""Lets ``python -m pytest_kvlatency.lab`` be the lab's command line."""

import sys

from pytest_kvlatency.lab.cli import main

sys.exit(main(sys.argv[1:]))

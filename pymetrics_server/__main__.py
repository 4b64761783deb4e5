"""`python -m pymetrics_server` is `pymetrics-server`."""

import sys

from pymetrics_server.cli import main

sys.exit(main())

"""`python -m pymetrics_server` is `pymetrics-server`."""

import sys

from pymetrics_server.serving.stopping import Stopping


def main() -> int:
    """The exit status. Signals are heard before the rest is imported."""
    stopping = Stopping()
    with stopping.on_signals():
        from pymetrics_server import cli

        return cli.main(stopping=stopping)


if __name__ == "__main__":
    sys.exit(main())

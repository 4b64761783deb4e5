"""argv to one of: serve, which needs no subcommand so that metrics-server's arguments work as they are, demo, certs, doctor."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Sequence

from pymetrics_server import log as logs
from pymetrics_server.errors import ConfigError, ListenError, system_words
from pymetrics_server.log import Logger
from pymetrics_server.options import Options, help_text, parse, usage_text
from pymetrics_server.serving.stopping import Stopping
from pymetrics_server.version import GIT_VERSION

UNWRITTEN_EXIT, USAGE_EXIT, NO_PORT_EXIT, INTERRUPTED_EXIT = 1, 2, 255, 130

Serve = Callable[[Options, Stopping], Coroutine[None, None, None]]

log = Logger(__name__)


def main(argv: Sequence[str] | None = None, stopping: Stopping | None = None) -> int:
    """The exit status. `stopping` hears signals already; without one they are heard from here on."""
    argv = sys.argv[1:] if argv is None else argv
    if stopping is None:
        stopping = Stopping()
        with stopping.on_signals():
            return main(argv, stopping)
    try:
        if argv[:1] == ["demo"]:
            from pymetrics_server.standin.demo import (
                main as demo,
            )  # serving must not pay for the demo's imports

            return demo(argv[1:], _loop_factory())
        if argv[:1] == ["certs"]:
            from pymetrics_server.certs.command import main as certs

            return certs(argv[1:], _print)
        if argv[:1] == ["doctor"]:
            from pymetrics_server.doctor.main import (
                main as doctor,
            )  # nor for the doctor's

            return doctor(argv[1:])
        return serve_from(argv, stopping=stopping)
    except KeyboardInterrupt:
        return INTERRUPTED_EXIT


def serve_from(argv: Sequence[str], serve: Serve | None = None, stopping: Stopping | None = None) -> int:
    """Serves until a signal ends it; `serve` stands for the composition root's."""
    try:
        options = parse(argv)
        if options.help:
            return _print(help_text())
        if options.version:
            return _print(f"{GIT_VERSION}\n")
        logs.set_up(options.v, options.logging_format, options.vmodule)
        if options.secure_port <= 0:
            log.error("cannot derive external address port without listening on a secure port.")
            return NO_PORT_EXIT
        if options.inert:
            log.warning("Flags without effect here were given", flags=list(options.inert))
        run(options, serve or _composition_root(), stopping or Stopping())
    except (ConfigError, ListenError) as err:
        sys.stderr.write(f"Error: {err}\n{usage_text()}")
        return USAGE_EXIT
    return 0


def _print(text: str) -> int:
    """The exit status."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as err:
        sys.stderr.write(f"Error: cannot write to standard output: {system_words(err)}\n")
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # the interpreter tries once more as it ends
        return UNWRITTEN_EXIT
    return 0


def run(options: Options, serve: Serve, stopping: Stopping) -> None:
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            runner.run(serve(options, stopping))
        except SystemExit:  # of a signal, wherever the loop was; what that tore apart is nobody's error
            runner.get_loop().set_exception_handler(lambda _loop, _context: None)
            raise


def _composition_root() -> Serve:
    from pymetrics_server.server import (
        serve,
    )  # --help and a mistyped flag answer without importing every room

    return serve


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one: TLS connections cost it a third of the memory."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop

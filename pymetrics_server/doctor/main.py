"""`pymetrics-server doctor`: looks at the whole pipeline, says what is wrong first and what to type. Changes nothing."""

import argparse
import asyncio
import io
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
import yaml

from pymetrics_server.clock import SystemClock
from pymetrics_server.cluster.loaders import remove_files
from pymetrics_server.doctor import bundle, screen
from pymetrics_server.doctor.asking import Asker
from pymetrics_server.doctor.checks import Check, checks_for
from pymetrics_server.doctor.collecting import Wanted, collect
from pymetrics_server.doctor.evidence import Evidence
from pymetrics_server.doctor.finding import Finding, Report, Stage, State, unseen
from pymetrics_server.doctor.kubeconfigs import credentials_of
from pymetrics_server.doctor.lookups import LookupLoop
from pymetrics_server.doctor.pasting import at_cluster
from pymetrics_server.doctor.probing import probe
from pymetrics_server.doctor.verdict import explained, verdict_of
from pymetrics_server.errors import ConfigError, system_words
from pymetrics_server.meta.duration import parse_go
from pymetrics_server.meta.timestamp import format_rfc3339

_EXITS = {State.HEALTHY: 0, State.SICK: 1}
UNSEEN_EXIT = 2
INTERRUPTED_EXIT = 130

_LONGEST_PROBING_S = 20.0
_NEVER_FOLDED = 1 << 20

_EPILOG = """\
exit status: 0 healthy, 1 sick, 2 nothing could be seen

examples:
  pymetrics-server doctor
  pymetrics-server doctor pod default/web-5d9f7c6b8-abcde
  pymetrics-server doctor hpa default/web
  pymetrics-server doctor --collect evidence.tar.gz
  pymetrics-server doctor --bundle evidence.tar.gz
"""

_silent = logging.NullHandler()  # what goes wrong is in the report


def main(argv: Sequence[str]) -> int:
    """The exit status."""
    if sys.stderr is None:  # it was closed
        sys.stderr = io.StringIO()
    args = _arguments(argv)
    logging.getLogger("pymetrics_server").addHandler(_silent)
    try:
        with _interruptible():
            evidence = bundle.load(args.bundle) if args.bundle else _looked_at(args)
            if args.collect:
                bundle.save(evidence, args.collect, force=args.force)
                sys.stderr.write(f"Written: {args.collect}, without secrets\n")
            report = at_cluster(report_of(evidence), args.kubeconfig, args.context)
            return _exit_of(report) if _show(report, args.output) else UNSEEN_EXIT
    except ConfigError as err:
        sys.stderr.write(f"Error: {err}\n")
        return UNSEEN_EXIT
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted\n")
        return INTERRUPTED_EXIT


def report_of(evidence: Evidence, checks: Sequence[Check] | None = None) -> Report:
    """With all checks that apply where none are given."""
    wanted = checks_for(evidence) if checks is None else checks
    findings = explained(finding for check in wanted for finding in _findings(check, evidence))
    return Report(verdict_of(findings), findings, evidence.server, format_rfc3339(evidence.taken_ns))


def _findings(check: Check, evidence: Evidence) -> Iterable[Finding]:
    """A check that what was seen brings to its fall costs itself."""
    try:
        return list(check(evidence))
    except Exception as err:
        name = getattr(check, "__name__", "check")
        seen = f"the doctor's own check `{name}` failed: {type(err).__name__}: {err}"
        return [
            unseen(f"check-{name}", Stage.SUBJECT, seen, "pymetrics-server doctor --collect evidence.tar.gz")
        ]


def _looked_at(args: argparse.Namespace) -> Evidence:
    if args.collect:
        bundle.check_free(args.collect, force=args.force)
    wanted = Wanted(
        **{args.kind: args.name} if args.kind else {}, namespace=args.namespace, service=args.service
    )
    try:
        with screen.Progress() as progress, asyncio.Runner(loop_factory=LookupLoop) as runner:
            return runner.run(_until_terminated(_gathered(args, wanted, progress)))
    except asyncio.CancelledError as err:
        raise KeyboardInterrupt from err
    finally:
        remove_files()


async def _until_terminated(work: Coroutine[None, None, Evidence]) -> Evidence:
    """A signal that raised wherever the loop is just then would be some task's failure; of SIGINT the Runner knows that."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


async def _gathered(args: argparse.Namespace, wanted: Wanted, progress: screen.Progress) -> Evidence:
    loop = asyncio.get_running_loop()
    until_s = loop.time() + args.timeout
    clock = SystemClock()
    try:
        async with asyncio.timeout_at(until_s):
            credentials, kubeconfig = await credentials_of(args.kubeconfig, args.context, clock)
    except TimeoutError as err:
        raise ConfigError(f"the kubeconfig's credentials did not come within {args.timeout:g} s") from err
    asker = Asker(credentials, clock, until_s)
    try:
        evidence = await collect(asker, credentials, wanted, clock, progress, kubeconfig)
        return await probe(
            evidence,
            asker,
            credentials,
            clock,
            deadline_s=min(until_s, loop.time() + _LONGEST_PROBING_S),
            told=lambda done, all_: progress(done, all_, "looking at nodes"),
        )
    finally:
        await asker.close()


def _show(report: Report, output: str) -> bool:
    """Whether it could be written."""
    if sys.stdout is None:
        sys.stderr.write("Error: cannot write to standard output: it is closed\n")
        return False
    try:
        match output:
            case "json":
                sys.stdout.write(msgspec.json.format(msgspec.json.encode(report)).decode() + "\n")
            case "yaml":
                built = msgspec.to_builtins(report)
                yaml.safe_dump(built, sys.stdout, sort_keys=False, allow_unicode=True, width=_NEVER_FOLDED)
            case _:
                screen.print_report(report, sys.stdout)
        sys.stdout.flush()
    except OSError as err:
        sys.stderr.write(f"Error: cannot write to standard output: {system_words(err)}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter tries once more
        return False
    return True


def _exit_of(report: Report) -> int:
    return _EXITS.get(report.verdict.state, UNSEEN_EXIT)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Signals interrupt, whatever they did before: there is nothing here that is to end gracefully."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, whatever in before.items():
            signal.signal(number, whatever)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    args = parser.parse_args(argv)
    if bool(args.kind) != bool(args.name):
        parser.error(f"say which: pymetrics-server doctor {args.kind} NAMESPACE/NAME")
    if args.name:
        namespace, slash, name = args.name.rpartition("/")
        if not name or "/" in namespace or (slash and not namespace):
            parser.error(f"{args.name} is no NAMESPACE/NAME")
        args.name = f"{namespace or 'default'}/{name}"
    if args.bundle and (args.collect or args.kind or args.kubeconfig or args.context):
        parser.error("--bundle is what was seen before: it takes no cluster, no --collect, and no pod or hpa")
    return args


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pymetrics-server doctor",
        description="Look at the whole metrics pipeline, from kube-apiserver to kubelets, and say what is wrong first, why, "
        "and what to type. Reads only.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "kind", nargs="?", choices=("pod", "hpa"), help="what to ask about beside all the rest"
    )
    parser.add_argument("name", nargs="?", metavar="NAMESPACE/NAME", help="its name")
    parser.add_argument(
        "--kubeconfig",
        default="",
        metavar="FILE",
        help="default: as kubectl, and in a pod its ServiceAccount",
    )
    parser.add_argument(
        "--context", default="", metavar="NAME", help="of the kubeconfig, instead of its current one"
    )
    parser.add_argument("-o", "--output", choices=("text", "json", "yaml"), default="text")
    parser.add_argument(
        "--collect", default="", metavar="FILE", help="write what was seen to a tar.gz, without secrets"
    )
    parser.add_argument("--force", action="store_true", help="let --collect replace a file")
    parser.add_argument("--bundle", default="", metavar="FILE", help="diagnose what --collect wrote")
    parser.add_argument(
        "--timeout", type=_seconds, default=25.0, metavar="25s", help="for looking, as a whole (default 25s)"
    )
    parser.add_argument(
        "--namespace",
        default="",
        help="of the server's Service (default: the APIService's, then kube-system)",
    )
    parser.add_argument(
        "--service", default="", help="the server's Service (default: the APIService's, then metrics-server)"
    )
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = parse_go(text) / 1e9
    except ValueError as err:
        raise argparse.ArgumentTypeError(str(err)) from err
    if seconds <= 0:
        raise argparse.ArgumentTypeError("it must be more than 0s")
    return seconds

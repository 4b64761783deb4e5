"""argv to one of the commands, and what becomes of it to an exit status: 0 done, 1 not well, 2 could not."""

import argparse
import ipaddress
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, cast

from pymetrics_server.certs import aggregator, kubelets, serving
from pymetrics_server.certs.authority import Made, Request
from pymetrics_server.certs.files import write_all
from pymetrics_server.certs.looking import look
from pymetrics_server.certs.report import as_json, as_text, is_well
from pymetrics_server.clock import Clock, SystemClock
from pymetrics_server.errors import ConfigError, PymetricsError, system_words
from pymetrics_server.x509 import DEFAULT_KEY, KEY_KINDS

NOT_WELL_EXIT, CANNOT_EXIT, INTERRUPTED_EXIT = 1, 2, 130

#: Writes to standard output, and answers with the exit status.
Say = Callable[[str], int]

_PROG = "pymetrics-server certs"
_MOST_DAYS = 36_500
_LONGEST_NAME = 64  # that a common name may be: X.509's upper bound
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DNS_NAME = re.compile(rf"(?=.{{1,253}}\Z)(\*\.)?{_LABEL}(\.{_LABEL})*")
_NODE_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_FILE_STEM = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


class _Parser(argparse.ArgumentParser):
    """One line says what is wrong."""

    def error(self, message: str) -> NoReturn:
        self.exit(CANNOT_EXIT, f"Error: {message}; see `{self.prog} --help`\n")


def main(argv: Sequence[str], say: Say, clock: Clock | None = None) -> int:
    """The exit status."""
    clock = clock or SystemClock()
    try:
        args = _parser().parse_args(argv)
    except SystemExit as end:  # --help, and what is mistyped
        return int(end.code or 0)
    try:
        return _inspect(args, say, clock) if args.command == "inspect" else _make(args, say, clock)
    except SystemExit:  # of a signal: nobody shall take it for a yes
        return INTERRUPTED_EXIT
    except (PymetricsError, OSError) as err:
        said = system_words(err) if isinstance(err, OSError) else str(err)
        sys.stderr.write(f"Error: {' '.join(said.split())}\n")
        return CANNOT_EXIT


def _inspect(args: argparse.Namespace, say: Say, clock: Clock) -> int:
    sections = look(args.target, args.kubeconfig, clock)
    show = as_json if args.output == "json" else as_text
    unwritten = say(show(sections, clock.now_ns()))
    return unwritten or (0 if is_well(sections) else NOT_WELL_EXIT)


def _make(args: argparse.Namespace, say: Say, clock: Clock) -> int:
    request = _request(args)
    made = _made(args, request, clock.now_ns())
    for file in made.files:
        _check_not_the_ca(request, request.out / file.name)
    write_all(request.out, made.files, force=request.force, hint=made.hint)
    for warning in made.warnings:
        sys.stderr.write(f"Warning: {warning}\n")
    for file in made.files:
        sys.stderr.write(f"Wrote {request.out / file.name}\n")
    return say(made.printed)


def _made(args: argparse.Namespace, request: Request, now_ns: int) -> Made:
    if args.command == "aggregator":
        wanted = aggregator.Aggregator(request, args.name, tuple(args.host), args.print)
        return aggregator.make(wanted, now_ns)
    if args.command == "serving":
        return serving.make(serving.Serving(request, args.name, args.namespace, tuple(args.host)), now_ns)
    return kubelets.make(kubelets.Kubelets(request, tuple(args.node)), now_ns)


def _request(args: argparse.Namespace) -> Request:
    if (args.ca is None) != (args.ca_key is None):
        missing = "--ca-key" if args.ca_key is None else "--ca"
        raise ConfigError(
            f"--ca and --ca-key go together: add {missing} FILE, or leave both out for a new CA"
        )
    return Request(
        out=_absolute(args.out),
        days=args.days,
        key_kind=args.key,
        ca=None if args.ca is None else _absolute(args.ca),
        ca_key=None if args.ca_key is None else _absolute(args.ca_key),
        force=args.force,
    )


def _check_not_the_ca(request: Request, target: Path) -> None:
    for file in (request.ca, request.ca_key):
        if file is not None and os.path.realpath(target) == os.path.realpath(file):
            raise ConfigError(
                f"{target} is the CA that is to sign, and would be replaced: give another --name or --out"
            )


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(path))


def _name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError(
            "must not be empty: --requestheader-allowed-names would allow every name, and whoever has a certificate of "
            "that CA could speak for anybody"
        )
    if len(text) > _LONGEST_NAME or not _FILE_STEM.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot be a file's and a certificate's name: up to {_LONGEST_NAME} letters, digits, '-', '_' and '.'"
        )
    return text


def _label(text: str) -> str:
    if not _DNS_LABEL.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name of Kubernetes: up to 63 small letters, digits and '-'"
        )
    return text


def _host(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        if not _DNS_NAME.fullmatch(text) or re.fullmatch(r"[0-9.]+", text):
            raise argparse.ArgumentTypeError(
                f"{text!r} is neither an IP address nor a DNS name; give it without scheme, port and brackets"
            ) from None
        return text


def _node(text: str) -> kubelets.Node:
    name, _, hosts = text.partition("=")
    if not _NODE_NAME.fullmatch(name) or not hosts:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no NAME=IP[,IP|DNS...]; `kubectl get nodes -o wide` shows names and addresses"
        )
    return kubelets.Node(name, tuple(_host(host) for host in hosts.split(",")))


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days from 1 to {_MOST_DAYS}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=_PROG,
        description="Make the certificates that a cluster's metrics need, or look at those it has.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, what: str) -> argparse.ArgumentParser:
        return cast(
            "argparse.ArgumentParser",
            commands.add_parser(name, help=what, description=what, allow_abbrev=False),
        )

    made = command("aggregator", "kube-apiserver's front-proxy pair and its CA; prints the flags for them")
    made.add_argument("--name", type=_name, default="aggregator", help="common name (default aggregator)")
    made.add_argument(
        "--host", type=_host, action="append", default=[], help="a name to serve as, too; repeatable"
    )
    made.add_argument(
        "--print", choices=aggregator.FORMS, default="flags", help="where the flags are to go (default flags)"
    )
    _add_making(made)

    made = command("serving", "this server's own pair and its CA; prints how to use them")
    made.add_argument(
        "--name", type=_label, default="metrics-server", help="the Service (default metrics-server)"
    )
    made.add_argument("--namespace", type=_label, default="kube-system", help="its own (default kube-system)")
    made.add_argument("--host", type=_host, action="append", default=[], help="another name; repeatable")
    _add_making(made)

    made = command("kubelet-serving", "a pair for each kubelet, and their CA; prints how to use them")
    made.add_argument(
        "--node",
        type=_node,
        action="append",
        required=True,
        metavar="NAME=IP,...",
        help="a node, and its addresses and DNS names; repeatable",
    )
    _add_making(made)

    inspect = command("inspect", "what certificates are, and what they can serve as")
    inspect.add_argument(
        "target",
        metavar="TARGET",
        help="FILE (PEM), HOST:PORT (whoever speaks TLS there), or configmap:NAMESPACE/NAME",
    )
    inspect.add_argument("-o", "--output", choices=("text", "json"), default="text")
    inspect.add_argument(
        "--kubeconfig",
        default="",
        metavar="FILE",
        help="for a ConfigMap (default $KUBECONFIG, ~/.kube/config)",
    )
    return parser


def _add_making(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="DIR", help="where the files are written")
    parser.add_argument("--days", type=_days, default=365, metavar="N", help="validity (default 365)")
    parser.add_argument(
        "--key", choices=KEY_KINDS, default=DEFAULT_KEY, help=f"kind of the keys (default {DEFAULT_KEY})"
    )
    parser.add_argument("--ca", metavar="FILE", help="sign by this CA instead of a new one")
    parser.add_argument("--ca-key", metavar="FILE", help="its key")
    parser.add_argument("--force", action="store_true", help="replace files that are there")

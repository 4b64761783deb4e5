"""What was typed, frozen and validated: argv becomes `Options` or one UsageError.

Nothing below the composition root sees Options; rooms are handed the values that they need.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from pymetrics_server.options.flags import NamedCertKey, Options, effective_flags
from pymetrics_server.options.grammar import UsageError, read_arguments
from pymetrics_server.options.inert import inert_flags
from pymetrics_server.options.shown import flag_texts
from pymetrics_server.options.usage import help_text, usage_text
from pymetrics_server.options.validate import violations

__all__ = ["NamedCertKey", "Options", "UsageError", "flag_texts", "help_text", "parse", "usage_text"]


def parse(argv: Sequence[str]) -> Options:
    """Raises UsageError with the first thing that is wrong. --help and --version are not validated further."""
    flags = effective_flags()
    given = read_arguments(argv, (*flags, *inert_flags()))
    fields: dict[str, Any] = {flag.field: given.pop(flag.name) for flag in flags if flag.name in given}
    options = Options(**fields, inert=tuple(sorted(given)))
    options = dataclasses.replace(options, node_selector=options.node_selector.strip())
    if "kubelet_tls_verify" not in fields and (
        options.kubelet_insecure_tls or options.deprecated_kubelet_completely_insecure
    ):
        # What else is typed beside them contradicts them, its default does not.
        options = dataclasses.replace(options, kubelet_tls_verify="insecure")
    if options.help or options.version:
        return options
    if found := violations(options, given):
        raise UsageError(found[0])
    return options

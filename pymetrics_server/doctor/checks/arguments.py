"""What the server was told by its flags, and the command that tells it another. Plain functions."""

import json
import re
from collections.abc import Mapping

from pymetrics_server.doctor.checks.ours import deployments_of
from pymetrics_server.doctor.evidence import Asked, Evidence
from pymetrics_server.doctor.finding import typed
from pymetrics_server.doctor.subject import options_of, server_container
from pymetrics_server.meta.selectors import LabelSelector, SelectorError, parse_label_selector

_OUR_LOG = re.compile(r"\b[a-z]+\.py:[0-9]+")
_OUR_IMAGE = "pymetrics"


def with_argument(evidence: Evidence, flag: str, value: str) -> str:
    """`kubectl patch`, in the place of the flag where it is given; "" where its Deployment is not known."""
    deployment = next(iter(deployments_of(evidence)), None)
    spec = deployment.spec.template.spec if deployment is not None else None
    container = server_container(spec) if spec is not None else None
    if deployment is None or spec is None or container is None:
        return ""
    path = f"/spec/template/spec/containers/{list(spec.containers).index(container)}/args"
    place = next((at for at, arg in enumerate(container.args) if arg.startswith(f"--{flag}=")), None)
    argument = f"--{flag}={value}"
    change: Mapping[str, object]
    if place is not None:
        change = {"op": "replace", "path": f"{path}/{place}", "value": argument}
    elif container.args:
        change = {"op": "add", "path": f"{path}/-", "value": argument}
    else:
        change = {"op": "add", "path": path, "value": [argument]}
    patch = json.dumps([change], separators=(",", ":"))
    where = ("-n", evidence.subject.namespace)
    return typed(
        "kubectl", *where, "patch", "deployment", deployment.metadata.name, "--type=json", "-p", patch
    )


def is_pymetrics(evidence: Evidence) -> bool:
    """Whether it surely has our own flags: metrics-server ends where it is given one that it does not know."""
    if _OUR_LOG.search(evidence.answer(Asked.LOG).body):
        return True
    containers = (server_container(each.spec.template.spec) for each in deployments_of(evidence))
    return any(container is not None and _OUR_IMAGE in container.image for container in containers)


def node_selector(evidence: Evidence) -> LabelSelector:
    """Of the nodes that the server scrapes and serves."""
    try:
        return parse_label_selector(options_of(evidence.subject).node_selector)
    except SelectorError:
        return LabelSelector()

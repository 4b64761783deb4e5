"""The types of metrics.k8s.io, the same in each of its versions."""

from pymetrics_server.api.openapi.shapes import (
    ATOMIC,
    META,
    QUANTITY,
    Schema,
    array,
    kind,
    mapping,
    reference,
    structure,
    text,
)
from pymetrics_server.meta.status import METRICS_GROUP

_TIMESTAMP = reference(
    f"{META}.Time", "The end of the window: when the usage was measured, on the node's clock."
)
_WINDOW = reference(
    f"{META}.Duration", "How long CPU time was counted for; the CPU usage is the mean over this window."
)
_USAGE = (
    "The usage by resource. `cpu` is in cores, a mean over the window (`250m` is a quarter of one core). "
    "`memory` is the working set in bytes at the end of the window: what is in use and not easily reclaimed."
)
_LIST_META = reference(f"{META}.ListMeta", "Metadata of the list. It is empty: a list is always whole.")


def definition_name(version: str, kind_name: str) -> str:
    return f"io.k8s.metrics.pkg.apis.metrics.{version}.{kind_name}"


def metrics_types(version: str) -> dict[str, Schema]:
    """By the name of the definition."""
    container = structure(
        "ContainerMetrics is what one container of a pod uses.",
        {
            "name": text("The name of the container, as in the pod's specification."),
            "usage": _usage(),
        },
        ["name", "usage"],
    )
    node = kind(
        METRICS_GROUP,
        version,
        "NodeMetrics",
        "NodeMetrics is what one node uses as a whole, system daemons included, as last measured.",
        {
            "metadata": reference(
                f"{META}.ObjectMeta",
                "The name and the labels of the node. creationTimestamp is when this object was put together.",
            ),
            "timestamp": _TIMESTAMP,
            "window": _WINDOW,
            "usage": _usage(),
        },
        ["timestamp", "window", "usage"],
    )
    pod = kind(
        METRICS_GROUP,
        version,
        "PodMetrics",
        "PodMetrics is what the containers of one pod use, as last measured.",
        {
            "metadata": reference(
                f"{META}.ObjectMeta",
                "The name, the namespace and the labels of the pod. creationTimestamp is when this object was "
                "put together.",
            ),
            "timestamp": _TIMESTAMP,
            "window": _WINDOW,
            "containers": array(
                {"$ref": definition_name(version, "ContainerMetrics")},
                "The running containers of the pod, all measured in the same window. The usage of the pod is "
                "their sum.",
                ATOMIC,
            ),
        },
        ["timestamp", "window", "containers"],
    )
    types = {
        "ContainerMetrics": container,
        "NodeMetrics": node,
        "NodeMetricsList": _list(version, "NodeMetrics", "nodes"),
        "PodMetrics": pod,
        "PodMetricsList": _list(version, "PodMetrics", "pods"),
    }
    return {definition_name(version, name): schema for name, schema in types.items()}


def _usage() -> Schema:
    return mapping({"$ref": QUANTITY}, _USAGE)


def _list(version: str, item: str, plural: str) -> Schema:
    name = f"{item}List"
    items = array(
        {"$ref": definition_name(version, item)},
        f"One element for each of the {plural} that were asked for and of which metrics are known.",
    )
    description = f"{name} is the usage of many {plural}."
    return kind(
        METRICS_GROUP, version, name, description, {"metadata": _LIST_META, "items": items}, ["items"]
    )

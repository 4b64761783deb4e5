"""Which nodes fail: all, all but one, one pool. It tells where the fault is before any error's text does."""

from collections.abc import Collection, Mapping

import msgspec

#: The labels by which nodes are alike, the ones that say most first.
POOL_LABELS = (
    "eks.amazonaws.com/nodegroup",
    "cloud.google.com/gke-nodepool",
    "kubernetes.azure.com/agentpool",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/zone",
    "kubernetes.io/os",
)


class Pattern(msgspec.Struct, frozen=True):
    words: str  # 3 of 40 nodes (all with kubernetes.io/os=windows and no others)
    own_alone: bool = False  # only the node on which the server's own pod runs
    all_but_own: bool = False


def pattern(
    failing: Collection[str], labels: Mapping[str, Mapping[str, str]], own: Collection[str]
) -> Pattern:
    """`labels` are those of each node that was looked at, by its name; `own` the nodes on which the server runs."""
    total, count = len(labels), len(failing)
    if count >= total:
        return Pattern(f"all {total} nodes" if total > 1 else "the one node that there is")
    of = f"{count} of {total} nodes"
    if count == 1 and (name := next(iter(failing))) in own:
        return Pattern(f"{of} (only {name}, on which the server runs)", own_alone=True)
    others = labels.keys() - set(failing)
    if len(others) == 1 and (name := next(iter(others))) in own:
        return Pattern(f"{of} (all but {name}, on which the server runs)", all_but_own=True)
    shared = _shared(failing, labels)
    return Pattern(f"{of} ({shared})" if shared else of)


def _shared(failing: Collection[str], labels: Mapping[str, Mapping[str, str]]) -> str:
    """What the failing have in common and the others have not; of a single node it would be chance."""
    if len(failing) < 2:
        return ""
    partly = ""
    for label in POOL_LABELS:
        values = {labels.get(name, {}).get(label, "") for name in failing}
        value = next(iter(values))
        if len(values) > 1 or not value:
            continue
        alike = sum(of_node.get(label) == value for of_node in labels.values())
        if alike == len(failing):
            return f"all with {label}={value} and no others"
        if not partly and alike < len(labels) and 2 * len(failing) >= alike:
            partly = f"only such with {label}={value}, of which there are {alike}"
    return partly

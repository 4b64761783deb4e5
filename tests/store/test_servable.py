"""How much can be served, counted as samples come and as time goes. Resolution 15 s, served for 60 s."""

from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.store import Store
from tests.store.samples import SECOND_NS, C, sample

NODES = {"node1": 1, "node2": 2, "node3": 0}  # with how many pods
STEPS = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from(sorted(NODES)), st.sampled_from(["put", "put", "forget"])),
    max_size=30,
)


def pods_of(node: str) -> list[str]:
    return [f"pod{i}" for i in range(NODES[node])]


@given(STEPS)
def test_what_counts_as_servable_is_what_is_served(steps: list[tuple[int, str, str]]) -> None:
    store, now_s = Store(15 * SECOND_NS, 60 * SECOND_NS), 1000
    for wait_s, node, what in steps:
        now_s += wait_s
        now_ns = now_s * SECOND_NS
        if what == "forget":
            store.forget(node)
        else:
            point = C(now_s, now_s, start_s=0)
            pods = {f"{node}/{name}": {"c": point} for name in pods_of(node)}
            store.put(node, sample(pods, node=point), now_ns, 0)
        served = [store.pod_usage(node, name, now_ns) is not None for node in NODES for name in pods_of(node)]
        nodes = sum(store.node_usage(node, now_ns) is not None for node in NODES)
        assert store.servable(now_ns) == (nodes, sum(served))

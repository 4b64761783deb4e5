"""A running server while its cluster goes wrong: for moments here, for longer by `make faults`."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.faults.outcome import Outcome
from benchmarks.faults.run import of_clusters, of_kubelets
from benchmarks.faults.scenarios import OF_CLUSTERS, OF_KUBELETS

#: The others take as long as the first, each.
IN_SHORT = (
    "all nodes at once, and back",
    "kube-apiserver is down",
    "every watch is answered 410",
    "watch lines halved, doubled, out of order, garbage",
)
_KUBELETS_LAST_S = 25.0  # two scrapes and a half
_CLUSTERS_LAST_S = 11.0


@pytest.fixture(name="outcomes", scope="module")
def _outcomes(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Outcome]:
    """Of everything, played side by side: most of it is waiting."""
    directory: Path = tmp_path_factory.mktemp("faults")
    in_short = [scenario for scenario in OF_CLUSTERS if scenario.title in IN_SHORT]

    async def played() -> tuple[list[Outcome], list[Outcome]]:
        return await asyncio.gather(
            of_kubelets(directory / "kubelets", OF_KUBELETS, _KUBELETS_LAST_S),
            of_clusters(directory / "clusters", in_short, _CLUSTERS_LAST_S),
        )

    return {outcome.title: outcome for outcomes in asyncio.run(played()) for outcome in outcomes}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("title", [*(scenario.title for scenario in OF_KUBELETS), *IN_SHORT])
def test_what_is_known_is_served_the_others_do_not_notice_and_it_heals_within_one_scrape(
    outcomes: Mapping[str, Outcome], title: str
) -> None:
    assert outcomes[title].broken == ()

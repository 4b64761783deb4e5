"""A healthy cluster broken in one way after another: the doctor names what is broken, nothing else, and what to type."""

import asyncio
import sys
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio

from pymetrics_server.doctor.finding import Report, Stage, State
from pymetrics_server.standin.kubeconfig import token_user
from tests.doctor.breaking import Broken, Scenarios
from tests.doctor.broken_apiserver import APISERVER
from tests.doctor.broken_backend import BACKEND, not_installed
from tests.doctor.broken_grants import GRANTS
from tests.doctor.broken_nodes import NODES
from tests.doctor.broken_pods import SERVER_PODS
from tests.doctor.broken_served import SERVED
from tests.doctor.installation import Installation
from tests.doctor.typed import kubectl
from tests.programs import direct_environment

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: What one command of kubectl mends.
_MENDED: Scenarios = {
    **GRANTS,
    **{
        sentence: broken
        for sentence, broken in BACKEND.items()
        if broken.id in ("apiservice-missing", "apiservice-v1-stale", "service-selects-nothing")
        and broken.how is not not_installed  # beside which something else is wrong
    },
}
_ALL: Scenarios = {**APISERVER, **GRANTS, **NODES, **SERVER_PODS, **BACKEND, **SERVED}


@pytest_asyncio.fixture(name="whole", scope="module", loop_scope="module")
async def _whole(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with Installation(tmp_path_factory.mktemp("cluster")) as installation:
        yield installation


@pytest_asyncio.fixture(name="installation", loop_scope="module")
async def _installation(whole: Installation) -> AsyncIterator[Installation]:
    """Well again, whatever the test before did to it."""
    await whole.mend()
    yield whole


async def test_nothing_is_wrong_with_what_the_manifests_install(installation: Installation) -> None:
    report = await installation.diagnose()
    assert (report.verdict.state, report.verdict.id) == (State.HEALTHY, ""), _told(report)
    assert [finding for finding in report.findings if finding.state is not State.HEALTHY] == []


@pytest.mark.parametrize("broken", _ALL.values(), ids=list(_ALL))
async def test_what_is_broken_is_named_and_what_to_type(installation: Installation, broken: Broken) -> None:
    if (done := broken.how(installation)) is not None:
        await done
    report = await installation.diagnose(*broken.argv)
    assert _in(report, State.SICK) == ([broken.id] if broken.state is State.SICK else []), _told(report)
    if broken.state is State.WARNING:
        assert _in(report, State.WARNING) == [broken.id], _told(report)
        (cure,) = (finding.cure for finding in report.findings if finding.id == broken.id)
    else:
        assert (report.verdict.state, report.verdict.id) == (State.SICK, broken.id)
        cure = report.verdict.cure
    assert [words for words in broken.cure if words not in cure] == [], cure


async def test_whoever_may_see_nothing_is_told_so_and_of_no_trouble_that_there_is_not(
    installation: Installation,
) -> None:
    token = installation.cluster.add_user("jane")
    installation.kubeconfig = installation.kubeconfig_of("jane", token_user(token))
    report = await installation.diagnose()
    assert _in(report, State.SICK) == ["served-refused"], _told(report)
    assert len(_in(report, State.UNSEEN)) >= len(Stage) - 4, _told(report)


async def test_the_command_line_says_it_all_and_its_exit_status(installation: Installation) -> None:
    command = (
        sys.executable,
        "-m",
        "pymetrics_server",
        "doctor",
        f"--kubeconfig={installation.kubeconfig}",
        "-o",
        "json",
    )
    bin_path = str(installation.kubectl_folder())

    async def run() -> tuple[int, Report]:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, env=direct_environment(PATH=bin_path)
        )
        said, _ = await process.communicate()
        return process.returncode or 0, msgspec.json.decode(said, type=Report)

    status, report = await run()
    assert (status, report.verdict.state) == (0, State.HEALTHY)
    installation.forbid("list", "nodes")
    status, report = await run()
    assert (status, report.verdict.id) == (1, "grant-missing")


@pytest.mark.parametrize("broken", _MENDED.values(), ids=list(_MENDED))
async def test_what_it_says_is_typed_and_the_cluster_is_healthy(
    installation: Installation, broken: Broken
) -> None:
    if (done := broken.how(installation)) is not None:
        await done
    report = await installation.diagnose()
    (cure,) = (finding.cure for finding in report.findings if finding.id == broken.id)
    kubectl(installation, cure)
    await installation.cluster.aggregator.check()
    report = await installation.diagnose()
    assert _in(report, State.SICK) + _in(report, State.WARNING) == [], _told(report)


def _in(report: Report, state: State) -> list[str]:
    return [finding.id for finding in report.findings if finding.state is state]


def _told(report: Report) -> str:
    return "\n".join(
        f"{finding.state}: {finding.id}: {finding.seen}"
        + "".join(f"\n    {line}" for line in finding.details)
        for finding in report.findings
    )

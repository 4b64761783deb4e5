"""What the server asks of the cluster is what manifests/base grants, neither more nor less."""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import yaml
from msgspec.structs import replace

from pymetrics_server.meta.identity import Attributes, Decision, UserInfo
from pymetrics_server.standin.cluster import StandinCluster
from pymetrics_server.standin.reviews import METRICS_READERS, SERVER_ACCOUNT, Policy, Rule, attributes_of
from tests.doctor.roles import rules_of
from tests.integration.processes import BASE, server_beside

MANIFESTS = Path(__file__).parents[2] / "manifests" / "base"

#: Verbs that come with a role which is not ours to cut, or that metrics-server's role has always had.
NEVER_ASKED = {("configmaps", "get"), ("nodes", "get"), ("pods", "get")}


def granted() -> list[Rule]:
    """The rules of all roles that the manifests bind to the server's account, each of one resource."""
    documents = [d for path in MANIFESTS.glob("*.yaml") for d in yaml.safe_load_all(path.read_text()) if d]
    found = rules_of(documents)
    assert {rule.subject for rule in found} == {SERVER_ACCOUNT}
    assert not any({"*"} & {*rule.verbs, *rule.resources, rule.group} for rule in found)
    return [replace(rule, resources=(resource,)) for rule in found for resource in rule.resources]


class Observed(Policy):
    """Grants the server's account what it was given, and keeps what was asked on its behalf and the answer."""

    def __init__(self, rules: list[Rule]) -> None:
        super().__init__()
        self.rules = [rule for rule in self.rules if rule.subject != SERVER_ACCOUNT] + rules
        self.decided: list[tuple[Attributes, bool]] = []

    def decide(self, user: UserInfo, asked: Attributes) -> Decision:
        decision = super().decide(user, asked)
        if user.name == SERVER_ACCOUNT:
            self.decided.append((asked, decision.allowed))
        return decision


async def test_everything_the_server_asks_for_is_granted_and_everything_granted_is_asked_for(
    tmp_path: Path,
) -> None:
    rules = granted()
    policy = Observed(rules)
    cluster = StandinCluster(tmp_path, 1, host=False)
    cluster.policy = policy
    async with cluster:
        reader = {"Authorization": f"Bearer {cluster.add_user('viewer', METRICS_READERS)}"}
        async with server_beside(cluster) as server:
            assert (await server.ask(f"{BASE}/nodes", reader))[0] == 200
        asked = {
            attributes_of(a.method, urlsplit(a.path).path, dict(parse_qsl(urlsplit(a.path).query)))
            for a in cluster.apiserver.accesses
            if a.user == SERVER_ACCOUNT
        } | {attributes for attributes, _ in policy.decided}
    assert {a.is_resource_request for a in asked} == {True}  # no path such as /version or /openapi
    server_account = UserInfo(SERVER_ACCOUNT)
    ungranted = [a for a in asked if not any(rule.allows(server_account, a) for rule in rules)]
    assert ungranted == []
    assert all(allowed for _, allowed in policy.decided)

    used = {(_name(a), a.verb) for a in asked}
    unused = {(rule.resources[0], verb) for rule in rules for verb in rule.verbs} - used
    # A kubelet that refuses its summary is asked under nodes/metrics; the stand-in's ask nodes/stats for both.
    assert unused - {("nodes/metrics", "get")} <= NEVER_ASKED


async def test_without_its_rule_no_part_of_the_server_works(tmp_path: Path) -> None:
    """A rule that nothing needs would be one too many."""
    rules = granted()
    needed = {"nodes/stats", "nodes", "pods", "tokenreviews", "subjectaccessreviews", "configmaps"}
    assert {rule.resources[0] for rule in rules} == needed | {"nodes/metrics"}
    cluster = StandinCluster(tmp_path, 1, host=False)
    cluster.policy = Observed([])
    async with cluster, server_beside(cluster, ready=False) as server:
        await server.until(
            lambda: all(
                any(
                    "cannot" in line and f'resource "{resource}"' in line.replace("\\", "")
                    for line in server.log_lines
                )
                for resource in ("configmaps", "nodes", "pods")
            )
        )
        assert (await server.ask("/readyz"))[0] == 500
        token = {"Authorization": f"Bearer {cluster.add_user('viewer')}"}
        assert (await server.ask(BASE, token))[0] == 401


def _name(asked: Attributes) -> str:
    return asked.resource + (f"/{asked.subresource}" if asked.subresource else "")

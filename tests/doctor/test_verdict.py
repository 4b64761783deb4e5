"""From findings to one verdict: what explains what, and what is to be done first."""

from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.doctor.ailment import Ailment, node_id
from pymetrics_server.doctor.asked_ailment import AskedAilment
from pymetrics_server.doctor.finding import Finding, Stage, State, healthy, unseen
from pymetrics_server.doctor.verdict import FOLLOWS, explained, verdict_of
from pymetrics_server.errors import FailureClass

STAGES = {ailment.id: ailment.stage for ailment in (*Ailment, *AskedAilment)} | {
    node_id(failure): Stage.NODES for failure in FailureClass
}
ORDER = list(Stage)

findings = st.builds(
    lambda ailment_id, state: of(ailment_id, state),
    st.sampled_from(sorted(STAGES)),
    st.sampled_from([State.HEALTHY, State.WARNING, State.SICK, State.UNSEEN]),
)


def of(ailment_id: str, state: State = State.SICK) -> Finding:
    return Finding(ailment_id, STAGES[ailment_id], state, f"{ailment_id} was seen", "why", "what to do")


def test_what_another_explains_follows_it_and_the_verdict_is_the_other() -> None:
    found = explained([of("apiservice-unavailable"), of("endpoints-none"), of("pod-image")])
    assert [(each.id, each.state, each.because_of) for each in found] == [
        ("endpoints-none", State.FOLLOWS, "pod-image"),
        ("pod-image", State.SICK, ""),
        ("apiservice-unavailable", State.FOLLOWS, "endpoints-none"),
    ]
    verdict = verdict_of(found)
    assert (verdict.id, verdict.sentence, verdict.cure) == ("pod-image", "pod-image was seen", "what to do")


def test_a_warning_explains_nothing() -> None:
    found = explained([of("front-proxy-ca-expires-soon", State.WARNING), of("apiservice-unauthorized")])
    assert verdict_of(found).id == "apiservice-unauthorized"


def test_missing_permissions_explain_kubelets_that_refuse() -> None:
    found = explained([of("node-forbidden"), of("grant-missing"), of("pod-not-ready")])
    assert verdict_of(found).id == "grant-missing"
    assert [each.state for each in found] == [State.SICK, State.FOLLOWS, State.FOLLOWS]


def test_what_is_not_installed_explains_that_its_parts_are_missing() -> None:
    found = explained([of(each) for each in ("pod-missing", "service-missing", "apiservice-missing")])
    assert verdict_of(found).id == "apiservice-missing"


def test_what_another_provider_may_not_is_no_fault_of_its_own() -> None:
    found = explained([of("grant-missing"), of("apiservice-other-provider")])
    assert verdict_of(found).id == "apiservice-other-provider"


def test_a_pipeline_in_which_all_is_well_is_healthy() -> None:
    verdict = verdict_of([healthy("pods", Stage.BACKEND, "they run")])
    assert (verdict.state, verdict.id) == (State.HEALTHY, "")


def test_a_healthy_verdict_says_how_much_was_not_seen() -> None:
    found = [healthy("pods", Stage.BACKEND, "they run"), unseen("csr", Stage.NODES, "403", "ask somebody")]
    verdict = verdict_of(explained(found))
    assert verdict.state is State.HEALTHY
    assert "1 could not be looked at" in verdict.sentence


def test_where_nothing_could_be_seen_the_verdict_is_the_first_reason_and_what_to_do() -> None:
    verdict = verdict_of([unseen("apiserver", Stage.APISERVER, "timeout", "kubectl cluster-info")])
    assert (verdict.state, verdict.sentence, verdict.cure) == (
        State.UNSEEN,
        "timeout",
        "kubectl cluster-info",
    )


@given(st.lists(findings, max_size=12))
def test_whatever_is_found_one_sickness_is_left_to_be_the_verdict(found: list[Finding]) -> None:
    result = explained(found)
    sick = [each for each in result if each.state is State.SICK]
    verdict = verdict_of(result)
    assert bool(sick) == any(each.state is State.SICK for each in found)
    assert verdict.id == (sick[0].id if sick else verdict.id)
    assert (verdict.state is State.SICK) == bool(sick)


@given(st.lists(findings, max_size=12))
def test_whatever_follows_follows_something_else_that_was_found(found: list[Finding]) -> None:
    result = explained(found)
    was_sick = {each.id for each in found if each.state is State.SICK}
    for each in result:
        assert (each.state is State.FOLLOWS) == bool(each.because_of)
        if each.because_of:
            assert each.because_of != each.id
            assert each.because_of in was_sick


@given(st.lists(findings, max_size=12))
def test_findings_come_in_the_order_of_the_pipeline_and_none_is_lost(found: list[Finding]) -> None:
    result = explained(found)
    places = [ORDER.index(each.stage) for each in result]
    assert places == sorted(places)
    assert sorted(each.id for each in result) == sorted(each.id for each in found)


def test_what_explains_never_turns_in_a_circle() -> None:
    def explains(ailment_id: str) -> set[str]:
        exact = {p for p in FOLLOWS.get(ailment_id, ()) if not p.endswith("*")}
        begins = tuple(p[:-1] for p in FOLLOWS.get(ailment_id, ()) if p.endswith("*"))
        return {each for each in STAGES if each in exact or (begins and each.startswith(begins))} - {
            ailment_id
        }

    above = {each: explains(each) for each in STAGES}
    while settled := [each for each, causes in above.items() if not causes]:
        for each in settled:
            del above[each]
        above = {each: causes - set(settled) for each, causes in above.items()}
    assert above == {}

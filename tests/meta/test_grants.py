"""A kubelet's 403 says whom it took us for: the commands grant it to that user, and to nobody who cannot be one."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.errors import FailureClass
from pymetrics_server.meta.grants import kubelet_cure

TAIL = "verb=get, resource=nodes, subresource"


@pytest.mark.parametrize(
    "form", ["=stats)", "(s)=[stats])", "(s)=[metrics])", "(s)=[stats proxy])", "=metrics)\n"]
)
@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("system:serviceaccount:monitoring:ms", "--serviceaccount=monitoring:ms"),
        ("system:node:a, of=b", "--user=system:node:a, of=b"),
        ("o'neil $(id)", "--user=o'neil $(id)"),
    ],
)
def test_the_commands_are_for_the_user_that_the_kubelet_names_in_whatever_form(
    form: str, user: str, subject: str
) -> None:
    cure = kubelet_cure(f"Forbidden (user={user}, {TAIL}{form}")
    role, binding = (shlex.split(part) for part in cure.split("`") if part.startswith("kubectl"))
    assert role[4:] == ["--verb=get", "--resource=nodes/stats,nodes/metrics"]
    assert binding[3:] == [role[3], f"--clusterrole={role[3]}", subject]


def test_a_kubelet_that_takes_us_for_nobody_is_to_be_asked_to_read_tokens() -> None:
    cure = kubelet_cure(f"Forbidden (user=system:anonymous, {TAIL}=stats)")
    assert cure == FailureClass.UNAUTHENTICATED.cure


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>403</html>",
        f"Forbidden (user=a`id`, {TAIL}=stats)",
        f"Forbidden (user=a\x1b[2J, {TAIL}=stats)",
        f"Forbidden (user=a\u202eb, {TAIL}=stats)",
        f"Forbidden (user=a, {TAIL}(s)=[configz proxy])",
    ],
)
def test_another_body_is_no_ground_for_a_command(body: str) -> None:
    assert kubelet_cure(body) == ""


@given(st.text(max_size=300))
def test_no_user_that_a_kubelet_makes_up_breaks_out_of_the_command(user: str) -> None:
    for part in kubelet_cure(f"Forbidden (user={user}, {TAIL}=stats)").split("`")[1::2]:
        if part.startswith("kubectl"):
            assert len(shlex.split(part)) == 6

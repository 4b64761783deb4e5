"""What a bundle must not hold: secrets, whoever wrote them down and wherever."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.doctor.evidence import Answer
from pymetrics_server.doctor.redaction import LEFT_OUT, cleaned, cleaned_answer, cleaned_text

SECRET = "s3cr3t-Value.0123456789"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"
KEY = "-----BEGIN EC PRIVATE KEY-----\nAAAA\nBBBB\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {SECRET}",
        f'{{"authorization":"Basic {SECRET}"}}',
        f"curl -H 'authorization: bearer {SECRET}' https://x",
        f"refused bearer {SECRET}, so",
        f"--token={SECRET}",
        f"--oidc-client-secret={SECRET} --v=2",
        f"GET /hook?access_token={SECRET}&x=1",
        f'"Cannot log in" password="{SECRET}"',
        f"https://jane:{SECRET}@proxy:3128",
        f"https://jane:{SECRET}@{SECRET}@proxy:3128/",
    ],
)
def test_secrets_in_text_are_cut(text: str) -> None:
    assert SECRET not in cleaned_text(text)
    assert LEFT_OUT in cleaned_text(text)


def test_tokens_and_keys_are_cut_wherever_they_stand() -> None:
    text = cleaned_text(f"a {JWT} b {KEY} c")
    assert text == f"a {LEFT_OUT} b {LEFT_OUT} c"


@pytest.mark.parametrize(
    "text",
    [
        'subjectaccessreviews.authorization.k8s.io is forbidden: User "x" cannot create resource',
        "--tls-private-key-file=/etc/key.pem --authorization-mode=Node,RBAC",
        "--authentication-token-webhook-cache-ttl=10s",
        'Get "https://10.0.0.1:443/apis": dial tcp 10.0.0.1:443: connect: connection refused',
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert cleaned_text(text) == text


def test_a_flag_and_its_value_may_be_two_arguments() -> None:
    found = cleaned({"args": ["--token", SECRET, "--v", "2"]})
    assert found == {"args": ["--token", LEFT_OUT, "--v", "2"]}


def test_values_of_variables_go_and_their_names_and_references_stay() -> None:
    reference = {"name": "B", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}
    found = cleaned({"env": [{"name": "A", "value": SECRET}, reference, {"name": "C"}]})
    assert found == {"env": [{"name": "A", "value": LEFT_OUT}, reference, {"name": "C"}]}


@pytest.mark.parametrize("proxy", [f"http://jane:{SECRET}@proxy:3128", f"jane:{SECRET}@proxy:3128"])
def test_proxies_stay_without_their_users(proxy: str) -> None:
    (kept,) = cleaned({"env": [{"name": "HTTPS_PROXY", "value": proxy}]})["env"]
    assert SECRET not in kept["value"]
    assert kept["value"].endswith("@proxy:3128")


def test_what_kubectl_last_applied_and_who_manages_what_goes() -> None:
    metadata = {
        "managedFields": [1],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x", "metrics.k8s.io/a": "b"},
    }
    assert cleaned({"metadata": metadata}) == {"metadata": {"annotations": {"metrics.k8s.io/a": "b"}}}


def test_of_other_annotations_and_of_a_probes_headers_the_names_stay() -> None:
    found = cleaned(
        {
            "annotations": {"vault.example/login": SECRET},
            "httpHeaders": [{"name": "Authorization", "value": f"Basic {SECRET}"}],
        }
    )
    assert found == {
        "annotations": {"vault.example/login": LEFT_OUT},
        "httpHeaders": [{"name": "Authorization", "value": LEFT_OUT}],
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["env", "args", "metadata", "annotations", "name", "value", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_whatever_comes_is_cleaned_once_and_for_all(value: Any) -> None:
    once = cleaned(value)
    assert cleaned(once) == once


@given(st.text(max_size=200))
def test_whatever_is_said_is_cleaned_once_and_for_all(text: str) -> None:
    assert cleaned_text(cleaned_text(text)) == cleaned_text(text)


def test_what_nests_without_an_end_is_dropped() -> None:
    deep = "[" * 900 + "]" * 900
    answer = cleaned_answer(Answer("/x", 200, json.dumps({"a": [JWT]})))
    assert JWT not in answer.body
    assert cleaned_answer(Answer("/x", 200, deep)).body in ("", deep)

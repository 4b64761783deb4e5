"""Options written back as flags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.options import Options, flag_texts, parse
from pymetrics_server.options.flags import Kind, effective_flags


@pytest.mark.parametrize(
    ("argv", "name", "text"),
    [
        ("", "metric-resolution", "1m0s"),
        ("", "kubelet-insecure-tls", "false"),
        ("", "kubelet-tls-verify", "address"),
        ("", "kubelet-preferred-address-types", "[Hostname,InternalDNS,InternalIP,ExternalDNS,ExternalIP]"),
        ("", "cors-allowed-origins", "[]"),
        ("", "bind-address", "0.0.0.0"),
        ("", "kubeconfig", ""),
        ("--metric-resolution=90s", "metric-resolution", "1m30s"),
        ("--kubelet-insecure-tls", "kubelet-insecure-tls", "true"),
        ("--kubelet-insecure-tls", "kubelet-tls-verify", "insecure"),
        ("-v4", "v", "4"),
        ("", "tls-sni-cert-key", "[]"),
        (
            "--tls-sni-cert-key=a.crt,a.key:a.example,*.a.example --tls-sni-cert-key=b.crt,b.key",
            "tls-sni-cert-key",
            "[a.crt,a.key:a.example,*.a.example;b.crt,b.key]",
        ),
        ('--requestheader-allowed-names="a,b",c', "requestheader-allowed-names", '["a,b",c]'),
    ],
)
def test_a_value_is_shown_as_pflag_prints_it(argv: str, name: str, text: str) -> None:
    assert flag_texts(parse(argv.split()))[name] == text


def test_every_flag_with_an_effect_is_shown() -> None:
    assert list(flag_texts(parse([]))) == [flag.name for flag in effective_flags()]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0")), max_size=4))
def test_a_list_that_is_typed_as_it_is_shown_is_the_same_list(texts: list[str]) -> None:
    shown = flag_texts(Options(requestheader_allowed_names=tuple(texts)))["requestheader-allowed-names"]
    assert parse([f"--requestheader-allowed-names={shown[1:-1]}"]).requestheader_allowed_names == tuple(texts)


def test_what_is_typed_as_shown_comes_to_the_same_options() -> None:
    options = parse(["--metric-resolution=15s", "--kubelet-insecure-tls", "-lzone in (a,b)"])
    argv = [
        f"--{flag.name}={text[1:-1] if flag.kind is Kind.TEXTS else text}"
        for flag, text in zip(effective_flags(), flag_texts(options).values(), strict=True)
        if flag.kind is not Kind.NAMED_CERT_KEYS  # given once for each
    ]
    assert parse(argv) == options

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymetrics_server.log import FileLevel
from pymetrics_server.options import NamedCertKey, Options, UsageError, parse

MINUTE_NS = 60 * 10**9
MANIFEST = [
    "--cert-dir=/tmp",
    "--secure-port=10250",
    "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
    "--kubelet-use-node-status-port",
    "--metric-resolution=15s",
]


def test_nothing_typed_is_metrics_server_s_defaults() -> None:
    options = parse([])
    assert options == Options()
    assert options.metric_resolution_ns == MINUTE_NS
    assert options.kubelet_request_timeout_ns == MINUTE_NS // 6
    assert options.kubelet_preferred_address_types == (
        "Hostname",
        "InternalDNS",
        "InternalIP",
        "ExternalDNS",
        "ExternalIP",
    )
    assert (options.kubelet_port, options.secure_port, options.bind_address) == (10250, 443, "0.0.0.0")
    assert options.authorization_always_allow_paths == ("/healthz", "/readyz", "/livez")
    assert options.requestheader_username_headers == ("x-remote-user",)
    assert options.requestheader_allowed_names == ()
    assert options.max_requests_inflight == 400
    assert options.kubelet_endpoint == "auto"


def test_the_arguments_of_metrics_server_s_own_manifest_work_as_they_are() -> None:
    assert parse(MANIFEST) == Options(
        cert_dir="/tmp",
        secure_port=10250,
        kubelet_preferred_address_types=("InternalIP", "ExternalIP", "Hostname"),
        kubelet_use_node_status_port=True,
        metric_resolution_ns=MINUTE_NS // 4,
    )


@pytest.mark.parametrize(
    "argv",
    [["--secure-port", "4443"], ["--secure-port=4443"], ["--secure-port=0x115b"], ["--secure-port=010533"]],
)
def test_a_value_stands_behind_a_blank_or_an_equals_sign(argv: list[str]) -> None:
    assert parse(argv).secure_port == 4443


@pytest.mark.parametrize(
    ("argv", "on"),
    [
        (["--kubelet-insecure-tls"], True),
        (["--kubelet-insecure-tls=true"], True),
        (["--kubelet-insecure-tls=T"], True),
        (["--kubelet-insecure-tls=1"], True),
        (["--kubelet-insecure-tls=False"], False),
        (["--kubelet-insecure-tls=0"], False),
        (["--kubelet-insecure-tls", "false"], True),  # the second is a positional argument
        (["--kubelet-insecure-tls", "--kubelet-insecure-tls=f"], False),
    ],
)
def test_a_boolean_takes_a_value_only_behind_an_equals_sign(argv: list[str], on: bool) -> None:
    assert parse(argv).kubelet_insecure_tls is on


@pytest.mark.parametrize("argv", [["-v", "4"], ["-v=4"], ["-v4"], ["--v", "4"], ["--v=4"]])
def test_verbosity_has_every_spelling_of_a_shorthand(argv: list[str]) -> None:
    assert parse(argv).v == 4


def test_the_node_selector_is_stripped_of_blanks() -> None:
    assert parse(["-l", "  zone in (a, b) "]).node_selector == "zone in (a, b)"
    assert parse(["--node-selector=zone=a"]).node_selector == "zone=a"


def test_the_first_list_replaces_the_default_and_later_ones_append() -> None:
    argv = [
        "--kubelet-preferred-address-types=InternalIP,Hostname",
        "--kubelet-preferred-address-types",
        "ExternalIP",
    ]
    assert parse(argv).kubelet_preferred_address_types == ("InternalIP", "Hostname", "ExternalIP")
    assert parse(['--requestheader-allowed-names="a,b",c']).requestheader_allowed_names == ("a,b", "c")
    assert parse(["--authorization-always-allow-paths="]).authorization_always_allow_paths == ()


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("foo.crt,foo.key", NamedCertKey("foo.crt", "foo.key")),
        ("  foo.crt , foo.key    ", NamedCertKey("foo.crt", "foo.key")),
        ("foo.crt,foo.key: abc  ", NamedCertKey("foo.crt", "foo.key", ("abc",))),
        ("foo.crt,foo.key:abc, *.def", NamedCertKey("foo.crt", "foo.key", ("abc", "*.def"))),
        ("foo.crt,foo.key:10.0.0.1,fd00::1", NamedCertKey("foo.crt", "foo.key", ("10.0.0.1", "fd00::1"))),
    ],
)
def test_a_pair_for_sni_is_two_files_and_names_behind_a_colon(text: str, read: NamedCertKey) -> None:
    assert parse([f"--tls-sni-cert-key={text}"]).tls_sni_cert_key == (read,)
    again = ["--tls-sni-cert-key", text, "--tls-sni-cert-key=b,c"]
    assert parse(again).tls_sni_cert_key == (read, NamedCertKey("b", "c"))


def test_positional_arguments_are_ignored() -> None:
    assert parse(["what", "-", "--v=1", "ever", "--", "--no-such-flag"]) == Options(v=1)


def test_a_flag_without_effect_is_accepted_and_named() -> None:
    options = parse(["--profiling=false", "--audit-log-maxage", "7", "--audit-log-maxage=8"])
    assert options == Options(inert=("audit-log-maxage", "profiling"))


def test_vmodule_is_a_level_for_each_pattern() -> None:
    levels = (FileLevel("scraper", 4), FileLevel("conn*", 2))
    assert parse(["--vmodule=scraper=4,", "--vmodule=conn*=2"]).vmodule == levels


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("''", ""),
        ("a,b", "a|b"),
        ('"a,b",c', "a,b|c"),
        ('"a""b"', 'a"b'),
        (",", "|"),
        ('""', ""),
        ("a\nb", "a"),
        ("\n\na\r\nb", "a"),
        ('"a\nb",c', "a\nb|c"),
        (" a, b ", " a| b "),
    ],
)
def test_a_list_is_read_as_a_line_of_csv(text: str, read: str) -> None:
    given = "" if text == "''" else text
    expected = tuple(read.split("|")) if given else ()
    assert parse([f"--requestheader-allowed-names={given}"]).requestheader_allowed_names == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [("0b11", 3), ("0o17", 15), ("017", 15), ("1_000", 1000), ("0x_1f", 31), ("0_7", 7), ("+5", 5)],
)
def test_an_integer_has_every_form_of_go(text: str, value: int) -> None:
    assert parse([f"--kubelet-port={text}"]).kubelet_port == value


@pytest.mark.parametrize("text", ["08", "1__0", "_1", "1_", "0x", "1.0", "1e3", "\u0663", " 5", ""])
def test_an_integer_has_no_other_form(text: str) -> None:
    with pytest.raises(UsageError, match="invalid syntax"):
        parse([f"--kubelet-port={text}"])


def test_an_empty_address_leaves_what_was_there() -> None:
    assert parse(["--bind-address=::1", "--bind-address="]).bind_address == "::1"
    assert parse(["--bind-address=::ffff:127.0.0.1"]).bind_address == "127.0.0.1"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--foo"], "unknown flag: --foo"),
        (["--foo=1"], "unknown flag: --foo"),
        (["--metric_resolution=15s"], "unknown flag: --metric_resolution"),
        (["--logtostderr"], "unknown flag: --logtostderr"),
        (["-x"], "unknown shorthand flag: 'x' in -x"),
        (["-hx1"], "unknown shorthand flag: 'x' in -x1"),
        (["--=x"], "bad flag syntax: --=x"),
        (["---v"], "bad flag syntax: ---v"),
        (["--kubeconfig"], "flag needs an argument: --kubeconfig"),
        (["-v"], "flag needs an argument: 'v' in -v"),
        (
            ["--metric-resolution=60"],
            'invalid argument "60" for "--metric-resolution" flag: time: missing unit in duration "60"',
        ),
        (
            ["--secure-port=https"],
            'invalid argument "https" for "--secure-port" flag: strconv.ParseInt: parsing "https": invalid syntax',
        ),
        (
            ["--secure-port=9223372036854775808"],
            'invalid argument "9223372036854775808" for "--secure-port" flag: '
            'strconv.ParseInt: parsing "9223372036854775808": value out of range',
        ),
        (["-vx"], 'invalid argument "x" for "-v, --v" flag: strconv.ParseUint: parsing "x": invalid syntax'),
        (
            ["--version=maybe"],
            'invalid argument "maybe" for "--version" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
        (
            ["--bind-address=here"],
            'invalid argument "here" for "--bind-address" flag: failed to parse IP: "here"',
        ),
        (
            ["--tls-sni-cert-key=a"],
            'invalid argument "a" for "--tls-sni-cert-key" flag: '
            "expected comma separated certificate and key file paths",
        ),
        (
            ["--tls-sni-cert-key=a,b,c"],
            'invalid argument "a,b,c" for "--tls-sni-cert-key" flag: '
            "expected comma separated certificate and key file paths",
        ),
        (
            ["--tls-sni-cert-key=a,b:"],
            'invalid argument "a,b:" for "--tls-sni-cert-key" flag: empty names list is not allowed',
        ),
        (
            ["--vmodule=a=b"],
            'invalid argument "a=b" for "--vmodule" flag: parsing verbosity in "a=b": '
            'strconv.ParseUint: parsing "b": invalid syntax',
        ),
        (
            ["--vmodule=a"],
            'invalid argument "a" for "--vmodule" flag: "a" does not have the pattern=N format',
        ),
        (
            ['--requestheader-allowed-names=x,"y"z'],
            'invalid argument "x,\\"y\\"z" for "--requestheader-allowed-names" flag: '
            'parse error on line 1, column 5: extraneous or missing " in quoted-field',
        ),
        (
            ['--requestheader-allowed-names="a\nb"c'],
            'invalid argument "\\"a\\nb\\"c" for "--requestheader-allowed-names" flag: '
            'record on line 1; parse error on line 2, column 2: extraneous or missing " in quoted-field',
        ),
        (
            ['--requestheader-allowed-names=a"'],
            'invalid argument "a\\"" for "--requestheader-allowed-names" flag: '
            'parse error on line 1, column 2: bare " in non-quoted-field',
        ),
        (
            ["--audit-log-batch-throttle-qps=1e39"],
            'invalid argument "1e39" for "--audit-log-batch-throttle-qps" flag: '
            'strconv.ParseFloat: parsing "1e39": value out of range',
        ),
        (
            ["--tls-curve-preferences=23,x"],
            'invalid argument "23,x" for "--tls-curve-preferences" flag: '
            'strconv.ParseInt: parsing "x": invalid syntax',
        ),
        (
            ["--bind-address=fe80::1%eth0"],
            'invalid argument "fe80::1%eth0" for "--bind-address" flag: failed to parse IP: "fe80::1%eth0"',
        ),
        (
            ["--goaway-chance=x"],
            'invalid argument "x" for "--goaway-chance" flag: strconv.ParseFloat: parsing "x": invalid syntax',
        ),
    ],
)
def test_what_cannot_be_read_is_refused_in_pflag_s_words(argv: list[str], words: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(argv)
    assert str(refused.value) == words


def test_a_zero_max_age_follows_the_resolution() -> None:
    assert parse([]).effective_metric_max_age_ns == 3 * MINUTE_NS
    assert parse(["--metric-resolution=15s"]).effective_metric_max_age_ns == MINUTE_NS
    assert parse(["--metric-max-age=90s"]).effective_metric_max_age_ns == MINUTE_NS * 3 // 2


@given(
    st.lists(
        st.text(max_size=12)
        | st.sampled_from(["-v", "-l", "--v", "--kubeconfig", "-h", "--", "--bind-address"])
    )
)
def test_no_arguments_make_the_parser_fail_otherwise_than_by_usage_error(argv: list[str]) -> None:
    try:
        parse(argv)
    except UsageError as err:
        assert str(err)  # noqa: PT017  both outcomes are right, this one must speak

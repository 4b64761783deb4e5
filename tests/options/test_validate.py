"""Rows O1, O2 and K1 to K12 count errors, as metrics-server's own tests do; the rest are texts."""

import pytest

from pymetrics_server.meta.verification import Verification
from pymetrics_server.options import Options, UsageError, parse
from pymetrics_server.options.flags import CORS_HELP, effective_flags
from pymetrics_server.options.inert import inert_flags
from pymetrics_server.options.validate import kubelet_violations, resolution_violations

SECOND_NS = 10**9
NO_TLS = "--deprecated-kubelet-completely-insecure"
UNPINNED = "regular expression does not pin to start/end of host in the origin header"
HSTS = (
    "--strict-transport-security-directives invalid, allowed values: max-age=expireTime, includeSubDomains, "
    "preload. see https://tools.ietf.org/html/rfc6797#section-6.1 for more information"
)


def cors(wrong: str) -> str:
    return f"--cors-allowed-origins has an invalid regular expression: {wrong}, help: {CORS_HELP}"


@pytest.mark.parametrize(("timeout_s", "count"), [(9, 0), (10, 1)], ids=["O1", "O2"])
def test_the_resolution_leaves_a_tenth_over_the_kubelet_s_timeout(timeout_s: int, count: int) -> None:
    options = Options(metric_resolution_ns=10 * SECOND_NS, kubelet_request_timeout_ns=timeout_s * SECOND_NS)
    assert len(resolution_violations(options)) == count


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        pytest.param({}, 0, id="K1"),
        pytest.param(
            {"deprecated_kubelet_completely_insecure": True, "kubelet_certificate_authority": "a"}, 1, id="K2"
        ),
        pytest.param({"kubelet_insecure_tls": True, "kubelet_certificate_authority": "a"}, 1, id="K3"),
        pytest.param({"kubelet_client_certificate": "a", "kubelet_client_key": "a"}, 0, id="K4"),
        pytest.param(
            {"kubelet_client_certificate": "a", "deprecated_kubelet_completely_insecure": True}, 2, id="K5"
        ),
        pytest.param({"kubelet_client_key": "a", "deprecated_kubelet_completely_insecure": True}, 2, id="K6"),
        pytest.param(
            {"kubelet_insecure_tls": True, "deprecated_kubelet_completely_insecure": True}, 1, id="K7"
        ),
        pytest.param({"kubelet_client_certificate": "a"}, 1, id="K8"),
        pytest.param({"kubelet_client_key": "a"}, 1, id="K9"),
        pytest.param({"kubelet_request_timeout_ns": SECOND_NS}, 0, id="K10"),
        pytest.param({"kubelet_request_timeout_ns": 0}, 1, id="K11"),
        pytest.param({"kubelet_request_timeout_ns": -10 * SECOND_NS}, 1, id="K12"),
    ],
)
def test_the_kubelet_s_flags_contradict_each_other_as_often_as_in_metrics_server(
    fields: dict[str, object], count: int
) -> None:
    options = Options(**({"kubelet_request_timeout_ns": SECOND_NS} | fields))  # type: ignore[arg-type]  # a table
    assert len(kubelet_violations(options)) == count


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (
            "--kubelet-certificate-authority=a --kubelet-insecure-tls",
            "cannot use both --kubelet-certificate-authority and --kubelet-insecure-tls",
        ),
        ("--kubelet-client-key=a", "need both --kubelet-client-key and --kubelet-client-certificate"),
        (
            f"--kubelet-client-key=a --kubelet-client-certificate=b {NO_TLS}",
            f"cannot use both --kubelet-client-key and {NO_TLS}",
        ),
        (f"--kubelet-insecure-tls {NO_TLS}", f"cannot use both --kubelet-insecure-tls and {NO_TLS}"),
        (
            f"--kubelet-certificate-authority=a {NO_TLS}",
            f"cannot use both --kubelet-certificate-authority and {NO_TLS}",
        ),
        ("--kubelet-request-timeout=0", "kubelet-request-timeout should be positive"),
        (
            "--metric-resolution=5s --kubelet-request-timeout=1s",
            "metric-resolution should be a time duration at least 10s, but value 5s provided",
        ),
        (
            "--metric-resolution=10s",
            "metric-resolution should be larger than kubelet-request-timeout, but metric-resolution value 10s "
            "kubelet-request-timeout value 10s provided",
        ),
        (
            "--kubelet-request-timeout=1m",
            "metric-resolution should be larger than kubelet-request-timeout, but metric-resolution value 1m0s "
            "kubelet-request-timeout value 1m0s provided",
        ),
        ("--logging-format=xml", 'format: Invalid value: "xml": Unsupported log format'),
        (
            "--log-flush-frequency=-90s",
            'flushFrequency: Invalid value: "-1m30s": Must be greater than zero',
        ),
        ("--logging-format=json --vmodule=a=1", "vmodule: Forbidden: Only supported for text log format"),
        (
            "--log-text-split-stream --log-json-info-buffer-size=1Ki",
            "[options.text.splitStream: Forbidden: Feature LoggingAlphaOptions is disabled, "
            "options.json.infoBufferSize: Forbidden: Feature LoggingAlphaOptions is disabled]",
        ),
        ("--feature-gates=LoggingAlphaOptions=true", "component not registered: kube"),
        ("--feature-gates=a:b=true", "component not registered: a"),
        (
            "--feature-gates=a=true --feature-gates=kube:b=true",
            "set kube feature gates with default empty prefix or kube: prefix consistently, do not mix use",
        ),
        ("--emulated-version=1.31", "component not registered: kube"),
        ("--emulated-version=x", 'could not parse "x" as version'),
        ("--emulated-version=1", 'illegal version string "1"'),
        ("--emulated-version=01.2", 'illegal zero-prefixed version component "01" in "01.2"'),
        ("--emulated-version=kube=1.2.3", "patch version not allowed, got: kube=1.2.3"),
        ("--emulated-version=1.31,1.32", "duplicate version flag, kube=1.31 and kube=1.32"),
        ("--min-compatibility-version=wardle=1.2 --feature-gates=a=true", "component not registered: wardle"),
        ("--tls-curve-preferences=0", "curve preference 0 is out of range (must be 1-65535)"),
        ("--tls-curve-preferences=23,23", "duplicate curve preference 23"),
        ("--tls-curve-preferences=26", "curve preference 26 is not supported by the current Go version"),
        ("--tls-cert-file=a", "missing filename for serving cert"),
        ("--tls-sni-cert-key=a,", "failed to load SNI cert and key: missing filename for serving cert"),
        (
            "--bind-address=::1 --secure-port=65536",
            "failed to create listener: failed to listen on [::1]:65536: listen tcp: address 65536: invalid port",
        ),
        ("--livez-grace-period=-1s", "--livez-grace-period can not be a negative value"),
        ("--max-requests-inflight=-1", "--max-requests-inflight can not be negative value"),
        ("--max-mutating-requests-inflight=-1", "--max-mutating-requests-inflight can not be negative value"),
        ("--request-timeout=-1s", "--request-timeout can not be negative value"),
        ("--goaway-chance=0.03", "--goaway-chance can not be less than 0 or greater than 0.02"),
        ("--min-request-timeout=-1", "--min-request-timeout can not be negative value"),
        (
            "--storage-initialization-timeout=-1s",
            "--storage-initialization-timeout can not be negative value",
        ),
        ("--shutdown-delay-duration=-1s", "--shutdown-delay-duration can not be negative value"),
        ("--strict-transport-security-directives=max-age=1,forever", HSTS),
        ("--strict-transport-security-directives=max-age", HSTS),
        ("--strict-transport-security-directives=max-age=1=2", HSTS),
        ("--strict-transport-security-directives=maxage=1,forever", HSTS),
        (
            "--strict-transport-security-directives=,preload",
            "empty value in strict-transport-security-directives",
        ),
        (
            "--strict-transport-security-directives=,forever",
            f"[empty value in strict-transport-security-directives, {HSTS}]",
        ),
        ("--cors-allowed-origins=,^a$", f"empty value in --cors-allowed-origins, help: {CORS_HELP}"),
        ("--cors-allowed-origins=example", cors(UNPINNED)),
        ("--cors-allowed-origins=^example", cors(UNPINNED)),
        ("--cors-allowed-origins=example$", cors(UNPINNED)),
        (
            "--cors-allowed-origins=^(a",
            cors("error parsing regexp: missing ), unterminated subpattern at position 1"),
        ),
        (
            "--cors-allowed-origins=^a++$",
            cors("error parsing regexp: invalid nested repetition operator: `++`"),
        ),
        (
            "--cors-allowed-origins=^a(?=b)$",
            cors("error parsing regexp: invalid or unsupported Perl syntax: `(?=`"),
        ),
        (
            r"--cors-allowed-origins=^(a)\1$",
            cors(r"error parsing regexp: invalid or unsupported Perl syntax: `\1$`"),
        ),
        (
            "--cors-allowed-origins=(?u)^a$",
            cors("error parsing regexp: invalid or unsupported Perl syntax: `(?u`"),
        ),
        (
            r"--cors-allowed-origins=^a\Z:",
            cors(r"error parsing regexp: invalid or unsupported Perl syntax: `\Z:`"),
        ),
        (
            r"--cors-allowed-origins=^https://([a-z0-9]+[.-]?)+\.example\.com$",
            cors(
                "a repeated group, or more than two wide repetitions, is not supported: write [a-z0-9.-]+ "
                r"where you mean ([a-z0-9-]+\.)*"
            ),
        ),
        (
            "--cors-allowed-origins=^[[:alpha:]]$",
            cors("error parsing regexp: invalid or unsupported Perl syntax: `[[:`"),
        ),
        ("--tls-cipher-suites=FOO", "Cipher suite FOO not supported or doesn't exist"),
        (
            "--tls-min-version=TLS1.2 --tls-cipher-suites=TLS_AES_128_GCM_SHA256,TLS_RSA_WITH_RC4_128_SHA",
            "Cipher suite TLS_RSA_WITH_RC4_128_SHA not supported or doesn't exist",
        ),
        ("--tls-min-version=TLS1.2", 'unknown tls version "TLS1.2"'),
        (
            "--secure-port=65536",
            "failed to create listener: failed to listen on 0.0.0.0:65536: listen tcp: address 65536: invalid port",
        ),
        ("--authorization-always-allow-paths=/a*b", 'only trailing * allowed in "/a*b"'),
        ("--node-selector=a===b", "unable to parse requirement: found '=', expected: identifier"),
        (
            "--kubelet-endpoint=cadvisor",
            'kubelet-endpoint should be one of auto, summary, resource, but value "cadvisor" provided',
        ),
        ("--metric-max-age=-1s", "metric-max-age should not be negative"),
        (
            "--kubelet-tls-verify=hostname",
            "kubelet-tls-verify should be one of address, node-name, chain, insecure, "
            'but value "hostname" provided',
        ),
        (
            "--kubelet-insecure-tls --kubelet-tls-verify=",
            'kubelet-tls-verify should be one of address, node-name, chain, insecure, but value "" provided',
        ),
        (
            "--kubelet-tls-verify=node-name --kubelet-insecure-tls",
            "cannot use both --kubelet-insecure-tls and --kubelet-tls-verify=node-name: drop the first to verify "
            "certificates, or the second to verify nothing",
        ),
        (
            "--kubelet-insecure-tls=true --kubelet-tls-verify=address",
            "cannot use both --kubelet-insecure-tls and --kubelet-tls-verify=address: drop the first to verify "
            "certificates, or the second to verify nothing",
        ),
        (
            f"--kubelet-tls-verify=chain {NO_TLS}",
            f"cannot use both {NO_TLS} and --kubelet-tls-verify=chain: drop the first to verify certificates, or the "
            "second to verify nothing",
        ),
        (
            "--kubelet-certificate-authority=a --kubelet-tls-verify=insecure",
            "cannot use both --kubelet-certificate-authority and --kubelet-tls-verify=insecure: drop the first to verify "
            "nothing, or the second to verify by it",
        ),
        (
            f"--kubelet-insecure-tls --kubelet-tls-verify=insecure {NO_TLS}",
            f"cannot use both --kubelet-insecure-tls and {NO_TLS}",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_in_metrics_server_s_words(argv: str, words: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(argv.split())
    assert str(refused.value) == words


def test_only_the_first_of_several_mistakes_is_told() -> None:
    with pytest.raises(UsageError, match=r"^kubelet-request-timeout should be positive$"):
        parse(["--logging-format=xml", "--metric-resolution=1s", "--kubelet-request-timeout=-1s"])


@pytest.mark.parametrize(
    "argv",
    [
        "--metric-resolution=10s --kubelet-request-timeout=9s",
        "--authorization-always-allow-paths=/healthz,/metrics*",
        "--tls-min-version=VersionTLS13",
        "--tls-cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_AES_128_GCM_SHA256",
        "--tls-sni-cert-key=/nowhere/a.crt,/nowhere/a.key --permit-port-sharing",
        "--logging-format=json",
        "--goaway-chance=0.02",
        "--log-text-split-stream=false --log-json-info-buffer-size=0",
        "--emulated-version= --feature-gates=,",
        "--tls-curve-preferences=29,23",
        "--strict-transport-security-directives=max-age=31536000,includeSubDomains,preload",
        r"--cors-allowed-origins=^https://example\.com(:|$),//[^?+]+\.corp\+:,^a\\1$",
        "--metric-resolution=1s --version",
        "--metric-resolution=1s --help",
        "--kubelet-tls-verify=address --kubelet-certificate-authority=a",
        "--kubelet-tls-verify=chain --kubelet-insecure-tls=false",
    ],
)
def test_what_can_be_used_passes(argv: str) -> None:
    parse(argv.split())


@pytest.mark.parametrize(
    ("argv", "verified"),
    [
        ("", Verification.ADDRESS),
        ("--kubelet-tls-verify=node-name", Verification.NODE_NAME),
        ("--kubelet-tls-verify chain --kubelet-certificate-authority=a", Verification.CHAIN),
        ("--kubelet-tls-verify=insecure", Verification.INSECURE),
        ("--kubelet-insecure-tls", Verification.INSECURE),
        ("--kubelet-insecure-tls --kubelet-tls-verify=insecure", Verification.INSECURE),
        ("--kubelet-insecure-tls=false", Verification.ADDRESS),
        (NO_TLS, Verification.HTTP),
        (f"{NO_TLS} --kubelet-tls-verify=insecure", Verification.HTTP),
    ],
)
def test_what_is_verified_of_kubelets_is_one_choice_however_it_is_typed(
    argv: str, verified: Verification
) -> None:
    options = parse(argv.split())
    assert options.kubelet_verification is verified
    assert (options.kubelet_tls_verify == "insecure") is (
        verified in (Verification.INSECURE, Verification.HTTP)
    )


def test_two_tables_never_claim_the_same_flag() -> None:
    names = [flag.name for flag in (*effective_flags(), *inert_flags())]
    assert len(names) == len(set(names))

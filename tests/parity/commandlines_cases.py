"""The command lines that are compared, as a shell reads them; @DIR@ holds a kubeconfig."""

from itertools import combinations, pairwise

_NO_TLS = "--deprecated-kubelet-completely-insecure"

#: Of each kind: the flag that all of the values are typed for, others that some are typed for, and the values.
_VALUES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("kubelet-insecure-tls", "profiling", "log-text-split-stream"): (
        "true", "false", "1", "0", "t", "F", "TRUE", "False", "tRue", "yes", "", "2", '" true"',
    ),
    ("secure-port", "kubelet-port", "max-requests-inflight", "audit-log-maxage"): (
        "0x1F90", "0X1f90", "0b11", "0B11", "0o17", "0O17", "017", "018", "08", "1_000", "0_7", "_1", "1_",
        "0x_1f", "1__0", "+5", "-0", "1e3", "1.0", "5.", "", "x", '" 5"', "9223372036854775807",
        "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "99999999999999999999999999",
        "0x8000000000000000", "\u0663", "+", "-", "0x", "--5",
    ),
    ("goaway-chance", "audit-log-batch-throttle-qps"): (
        "0.01", ".01", "1e-2", "0x1p-6", "0x1p", "0x1", "+0.01", "-0.01", "-0", "0.03", "inf", "-Inf",
        "infinity", "nan", "NaN", "1_0", "1e", "", "x", "1e400", "1e-400", '" 1"', "0.02", "0.020000001",
        "1e39", "1.", ".", "0x.8p-6", "0x_1p-7", "+infinity", "+nan", "infi",
    ),
    ("v",): (
        "0", "2", "02", "+2", "-1", "-0", "0x2", "1_0", "2147483647", "2147483648", "99999999999999999999", "",
        "x", "1.5",
    ),
    ("metric-resolution", "kubelet-request-timeout", "request-timeout", "audit-log-batch-max-wait"): (
        "1h15m", "300ms", "10", "0", "+0", "-0", "-1s", "1.5h", "1.5", ".5m", "1m.", ".s", "1m30", "1s1h",
        "1us", "1µs", "1\u03bcs", "1ns", "1d", "", "s", "-", "+", "+15s", "1m 5s", '" 15s"', "15s ", "15S",
        "9223372036854775807ns", "9223372036854775808ns", "-9223372036854775808ns", "2562047h47m16.854775807s",
        "2562047h47m16.854775808s", "3000000h", "0.1ns", "1.9999999999ns", "99999999999999999999s", "1e3s",
        "0x1s", "\u0661s", "10s9ns", "--1s", "1_0s",
    ),
    ("requestheader-allowed-names", "kubelet-preferred-address-types", "cors-allowed-origins", "emulated-version"): (
        "a,b", '"a,b",c', '\'"a,b",c\'', '\'"a\'', '\'a"\'', '\'a"b\'', '\'a"b"\'', '\'"a"b\'', '\'"a""b"\'',
        "''", ",", ",,", "'a, b'", "' a'", "$'a\\nb'", '\'"a\nb"\'', "'a\nb'", "'\n'", "'a\r\nb'", '\'a,"\'',
        '\'""\'', "'[a,b]'", '\'a\n"b\'', '\'x,y,"z\'', '\'x,"y"z,w\'', '\'"a\nb"c\'',
    ),
    ("bind-address", "advertise-address"): (
        "127.0.0.1", "0.0.0.0", "::1", "::", "''", "' '", "' 127.0.0.1 '", "localhost", "1.2.3", "1.2.3.4.5",
        "256.0.0.1", "010.0.0.1", "127.0.0.01", "[::1]", "::ffff:127.0.0.1", "fe80::1%eth0", "1.2.3.4/8",
        "0x7f.0.0.1", ":::", "1:2:3:4:5:6:7:8:9", "1.2.3.-4", "1.2.3.+4", "1.2.3. 4", "::1.2.3.4", "1.2.3.00",
        "1.2.3.000004", "2001:DB8::1",
    ),
    ("tls-sni-cert-key",): (
        "a", "a,b", "a,b,c", "a,b:", "'a,b: '", "a,b:c,d", ",", ":", "a,b:c:d", "''", ":a", "' a , b '",
        "a,:x",
    ),
    ("tls-curve-preferences",): (
        "23", "23,24", "x", "''", "23,", "' 23'", "23,x", "0x17", "2147483648", "29,23,24,25", "4588", "1",
        "X25519", "-1", "23.5", "'23, 24'", "1_0", "023", "99999999999999999999", "0",
    ),
    ("log-json-info-buffer-size", "log-text-info-buffer-size"): (
        "0", "512", "1K", "1k", "2Ki", "x", "''", "-1", "1.5", "0.0", "1e3", "0Mi", "6Gi", "1E", "1KK", "' 1'",
        "+1", "1m", "1n", "-0",
    ),
    ("feature-gates",): (
        "a=true", "kube:a=true", "LoggingAlphaOptions=true", "a", "''", ",", "a:b:c", "wardle:a=true",
        "AllAlpha=true", "'a=true,,'", ":a=b", "' '",
    ),
    ("emulated-version", "min-compatibility-version"): (
        "1.31", "kube=1.31", "wardle=1.2", "1", "x", "''", "kube=", "=1.31", "1.2.3", "kube=1.2.3", "v1.31",
        "1.31,1.32", "kube=1.31,1.32", "1.31.0", "1.31-alpha", "01.2", "1.x", "'kube = 1.31'", "a=b=c", "1..2",
        "-1.2", "kube=1.31,x",
    ),
    ("vmodule",): (
        "a", "a=1", "a=", "=1", "a=b", "a=-1", "a=1,b=2", "a=1,", ",", "''", "a=1=2", "a*=1", "a=2147483648",
        "a=0", "a=+1", "a=0x1", "a=1,b", "' a = 1'", "'[=1'", "a=99999999999999999999",
    ),
    ("logging-format",): (
        "text", "json", "xml", "''", "JSON", "'te xt'", '\'"\'', "$'\\n'", "é",
    ),
    ("strict-transport-security-directives",): (
        "max-age=1", "max-age", "max-age=", "max-age=1=2", "maxage=1", "''", ",", "' '", "preload", "Preload",
        "' preload'", "max-age=1,includeSubDomains,preload", "x,y", ",x", "max-age=abc",
        "'max-age=1, preload'",
    ),
    ("cors-allowed-origins",): (
        "'^a$'", "'//a:'", "a", "'^a'", "'a$'", "'^(a$'", "'^a)$'", "'^[a$'", "'^a**$'", "'^*$'", "'^a{2,1}$'",
        "'^a{1001}$'", "'^\\q$'", "'^a(?=b)$'", "'^(a)\\1$'", "'^a$,b'", "a,b", "'^(?i)a$'", "'^[[:alpha:]]$'",
        "'^\\pL$'", "'^(a+)+$'", "'^a\\Z$'", "'^https://.*\\.example\\.com(:|$)'", "'^[z-a]$'", "'^a++$'",
        "'^\\'", "'^(?P<n>a)$'", "'^+$'", "'^[]a]$'", "'^x{,3}$'", "'*'", "'^a{$'", "'^(?Pn)$'", "'^?$'",
        "'^(*)$'", "'^a|*$'", "'^[a-\\d]$'",
    ),
    ("tls-cipher-suites",): (
        "FOO", "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256,FOO", "''", "TLS_RSA_WITH_RC4_128_SHA",
        "tls_aes_128_gcm_sha256", "' TLS_AES_128_GCM_SHA256'", "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
        "BAR,FOO", ",", "TLS_RSA_WITH_AES_256_CBC_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
        "TLS_RSA_WITH_AES_128_CBC_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", "TLS_RSA_WITH_AES_256_CBC_SHA384",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA256", "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    ),
    ("tls-min-version",): (
        "VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13", "''", "TLS1.2", "versiontls12",
        "VersionTLS14", '\'"\'',
    ),
    ("secure-port",): (
        "0", "-1", "65535", "65536", "70000",
    ),
    ("audit-log-format", "audit-log-mode", "audit-log-version", "audit-webhook-mode"): (
        "json", "xml", "batch",
    ),
}  # fmt: skip

_ALONE = (
    # names
    "--help", "-h", "--version", "--help --version", "--version --help", "-h --version --metric-resolution=1s",
    "--version --metric-resolution=1s", "--help --nope", "--nope --help", "--version --nope", "--version=false", "--help=false",
    "--help=maybe", "--version=maybe", "-h=true", "-h=false", "-hv2", "-v2h", "--h", "--hel", "--metric_resolution=15s",
    "--METRIC-RESOLUTION=15s", "--metric-resolutions=15s", "--nope", "--nope=1", "--nope x", "-x", "-hx", "-x=1", "-v=2x", "-v=",
    "-v 2", "-v=2", "-v2", "-v", "--v", "--v=", "--v 2", "--v=2", "-vv", "-v=2 -v=3", "-l", "-l=", "-l ''", "-la=b", "-l=a=b", "-l a=b",
    "-l==", "--node-selector", "--kubeconfig", "--kubeconfig=", "--kubeconfig ''", "--kubeconfig --v=2", "--kubeconfig=--nope",
    "---v", "--=x", "--", "-", "-- --nope", "- --nope", "what", "what --nope", "--v=2 what", "-=", "-=2", "--é", "-é", "--v=2=3",
    "--kubelet-insecure-tls false", "--kubelet-insecure-tls=", "--no-kubelet-insecure-tls", "--kubelet-insecure-tls=true=false",
    # klog's old flags
    *(f"--{name}" for name in (
        "logtostderr", "alsologtostderr", "stderrthreshold=INFO", "log-dir=/tmp", "log_dir=/tmp", "log-file=/tmp/x", "skip-headers",
        "add-dir-header", "one-output", "log-backtrace-at=a:1", "legacy-stderr-threshold-behavior", "log_flush_frequency=1s")),
    # alpha and beta options of logging
    "--log-text-split-stream --feature-gates=LoggingAlphaOptions=true", "--log-json-split-stream",
    "--log-json-split-stream --log-text-split-stream", "--log-json-split-stream --logging-format=json",
    "--log-json-info-buffer-size=1 --log-json-split-stream", "--log-text-info-buffer-size=1 --log-text-split-stream",
    "--log-text-split-stream --log-text-info-buffer-size=1 --log-json-split-stream --log-json-info-buffer-size=1",
    "--logging-format=xml --log-flush-frequency=0", "--logging-format=xml --vmodule=a=1", "--logging-format=json --vmodule=a=1",
    "--logging-format=json --vmodule=a=1 --log-text-split-stream", "--logging-format=json --log-flush-frequency=1s",
    "--logging-format=json --vmodule=", "--logging-format='' --vmodule=a=1", "--logging-format=xml --log-flush-frequency=1s",
    "--log-flush-frequency=0", "--log-flush-frequency=-1s", "--log-flush-frequency=-1s --logging-format=xml --vmodule=a=1",
    "--log-flush-frequency=x", "--vmodule=a=1 --vmodule=b=2", "--vmodule=a=1 --vmodule=b", "--log-flush-frequency=-1s --log-text-split-stream",
    "--log-flush-frequency=-90s",
    # negative values of the generic ones
    *(f"--{name}=-1s" for name in (
        "livez-grace-period", "request-timeout", "storage-initialization-timeout", "shutdown-delay-duration",
        "shutdown-watch-termination-grace-period", "authentication-token-webhook-cache-ttl",
        "authorization-webhook-cache-authorized-ttl", "authorization-webhook-cache-unauthorized-ttl")),
    *(f"--{name}=-1" for name in (
        "max-requests-inflight", "max-mutating-requests-inflight", "min-request-timeout", "http2-max-streams-per-connection",
        "kubelet-port", "audit-log-maxage")),
    "--emulation-forward-compatible", "--runtime-config-emulation-forward-compatible", "--shutdown-send-retry-after",
    "--permit-address-sharing", "--permit-port-sharing", "--disable-http2-serving", "--external-hostname=x", "--debug-socket-path=/x",
    "--contention-profiling", "--enable-priority-and-fairness=false",
    # the start
    "--kubeconfig=/nope", "--authentication-kubeconfig=/nope", "--authorization-kubeconfig=/nope", "--client-ca-file=/nope",
    "--requestheader-client-ca-file=/nope", "--authentication-skip-lookup --client-ca-file=/nope",
    "--authentication-kubeconfig=@DIR@/kubeconfig --authentication-skip-lookup",
    "--authentication-kubeconfig=@DIR@/kubeconfig --authentication-skip-lookup --client-ca-file=/nope",
    "--authentication-kubeconfig=@DIR@/kubeconfig --authentication-skip-lookup --requestheader-client-ca-file=/nope",
    "--authentication-kubeconfig=@DIR@/kubeconfig --authentication-skip-lookup --authorization-kubeconfig=/nope",
    "--authorization-always-allow-paths='a*b'", "--authorization-always-allow-paths='*'", "--authorization-always-allow-paths='/a**'",
    "--tls-cert-file=/nope", "--tls-private-key-file=/nope", "--tls-cert-file=/nope --tls-private-key-file=/nope",
    "--tls-cert-file=@DIR@/kubeconfig --tls-private-key-file=@DIR@/kubeconfig", "--tls-sni-cert-key=/nope,/nope",
    "--tls-cert-file=/nope --tls-private-key-file=/nope --tls-cipher-suites=FOO",
    "--tls-cipher-suites=FOO --tls-min-version=TLS1.2", "--tls-min-version=TLS1.2 --tls-sni-cert-key=/nope,/nope",
    "--tls-cipher-suites=FOO --tls-curve-preferences=1", "--tls-curve-preferences=1 --tls-min-version=TLS1.2",
    "--secure-port=65536 --tls-cipher-suites=FOO", "--secure-port=0 --tls-cipher-suites=FOO", "--secure-port=0 --emulated-version=1.2",
    "--secure-port=0 --kubelet-request-timeout=0", "--secure-port=65536 --emulated-version=1.2",
    "--emulated-version=1.2 --feature-gates=a=true", "--emulated-version=x --min-compatibility-version=y --feature-gates=a",
    "--min-compatibility-version=1.2 --feature-gates=b:a=true",
    "--emulated-version=1.2 --emulated-version=1.3", "--bind-address=192.0.2.1", "--cert-dir=/dev/null/x", "--cert-dir=",
    "--bind-address=::1 --secure-port=65536", "--kubeconfig=/nope --node-selector='a=='", "--bind-address=",
)  # fmt: skip

_FULL = (
    "--authentication-kubeconfig=@DIR@/kubeconfig --authorization-kubeconfig=@DIR@/kubeconfig --authentication-skip-lookup "
    "--kubeconfig=@DIR@/kubeconfig"
)
#: With credentials of delegated authentication: the rest of the start.
_LATER = (
    "--kubeconfig=", "--kubeconfig=/nope", "--kubeconfig=@DIR@", "--kubeconfig=/nope --authorization-always-allow-paths='a*b'",
    "--kubelet-certificate-authority=/nope", "--kubelet-client-certificate=/nope --kubelet-client-key=/nope",
    *(f"-l '{selector}'" for selector in (
        "=", "a===b", "a in", "a in (b", "a=b,", ",", "!", "a b", "a>b", "a>1,a<x", "A_b=-", "é=a", "a notin b", "(a)", "a==b==c",
        "a/b/c=d", "!a=b", "a in (b,,c", "a=b c", "/a=b")),
    "--kubelet-certificate-authority=/nope -l =", "--kubeconfig=/nope -l =", "--secure-port=0", "--secure-port=-1",
    "--audit-policy-file=/nope", "--audit-log-mode=nope --audit-policy-file=@DIR@/kubeconfig",
    "--kubelet-insecure-tls -l = --kubelet-client-certificate=/nope --kubelet-client-key=/nope",
    "--audit-policy-file=/nope --kubeconfig=/nope", "--requestheader-username-headers= -l =",
)  # fmt: skip

#: Mistakes that each are told alone; of two, the one that the original looks at first.
_MISTAKES = (
    "--kubelet-certificate-authority=a --kubelet-insecure-tls", "--kubelet-client-key=a", f"{_NO_TLS} --kubelet-insecure-tls",
    f"{_NO_TLS} --kubelet-client-certificate=a --kubelet-client-key=b", f"{_NO_TLS} --kubelet-certificate-authority=a",
    "--kubelet-request-timeout=0", "--metric-resolution=5s", "--metric-resolution=10s", "--logging-format=xml",
    "--log-flush-frequency=0", "--log-text-split-stream", "--livez-grace-period=-1s", "--max-requests-inflight=-1",
    "--max-mutating-requests-inflight=-1", "--request-timeout=-1s", "--goaway-chance=1", "--min-request-timeout=-1",
    "--storage-initialization-timeout=-1s", "--shutdown-delay-duration=-1s", "--shutdown-watch-termination-grace-period=-1s",
    "--strict-transport-security-directives=x", "--cors-allowed-origins=a", "--emulated-version=1.2", "--feature-gates=a=true",
    "--secure-port=65536", "--tls-cipher-suites=FOO", "--tls-curve-preferences=1", "--tls-min-version=x",
)  # fmt: skip


def _all() -> list[str]:
    pairs = [f"{later} {earlier}" for earlier, later in pairwise(_MISTAKES)]
    far = [
        f"{later} {earlier}"
        for (i, earlier), (j, later) in combinations(enumerate(_MISTAKES), 2)
        if (i * 7 + j) % 9 == 0
    ]
    typed = [
        f"--{name}={value}"
        for names, values in _VALUES.items()
        for place, name in enumerate(names)
        for value in (values[place::5] if place else values)
    ]
    later = [f"{_FULL} {rest}" for rest in _LATER]
    return list(dict.fromkeys([*_ALONE, *typed, *pairs, *far, " ".join(reversed(_MISTAKES)), *later]))


COMMAND_LINES = tuple(_all())

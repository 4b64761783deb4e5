"""The flags page, and the one flag that changes while the server runs."""

import json
from collections.abc import Iterator

import pytest

from pymetrics_server import log
from pymetrics_server.api.debugflags import set_verbosity
from pymetrics_server.api.flagz import flagz_reply
from pymetrics_server.api.negotiation import Representation
from pymetrics_server.api.zpages import DELIMITERS, TEXT_PLAIN, negotiate_page
from pymetrics_server.options import flag_texts, parse
from tests.api.world import golden

TEXT = Representation(TEXT_PLAIN)
FLAGS = {"v": "2", "node-selector": "zone in (a,b)", "metric-resolution": "15s"}


@pytest.fixture
def verbosity() -> Iterator[None]:
    before = log.verbosity()
    yield
    log.set_verbosity(before)


def test_the_text_has_every_flag_in_order() -> None:
    reply = flagz_reply("metrics-server", flag_texts(parse(["--metric-resolution=15s", "-v2"])), TEXT, "=")
    assert (reply.code, reply.content_type) == (200, "text/plain; charset=utf-8")
    assert b"".join(reply.parts).decode() == golden("flagz.txt")


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_nothing_but_the_delimiter_stands_between_flag_and_value(delimiter: str) -> None:
    (text,) = flagz_reply("metrics-server", FLAGS, TEXT, delimiter).parts
    assert text.decode().endswith(
        f"\nmetric-resolution{delimiter}15s\nnode-selector{delimiter}zone in (a,b)\nv{delimiter}2\n"
    )


def test_the_object_has_the_flags_by_name() -> None:
    asked = negotiate_page("Flagz", "application/json;as=Flagz;v=v1alpha1;g=config.k8s.io", {}, "")
    (document,) = flagz_reply("metrics-server", FLAGS, asked, "=").parts
    assert json.loads(document) == {
        "kind": "Flagz",
        "apiVersion": "config.k8s.io/v1alpha1",
        "metadata": {"name": "metrics-server"},
        "flags": FLAGS,
    }
    assert list(json.loads(document)["flags"]) == sorted(FLAGS)


@pytest.mark.usefixtures("verbosity")
def test_a_put_changes_how_much_is_logged() -> None:
    reply = set_verbosity(b"7", "PUT")
    assert (reply.code, reply.content_type, reply.parts) == (
        200,
        "text/plain",
        [b"successfully set klog.logging.verbosity to 7\n"],
    )
    assert log.enabled(7)
    assert not log.enabled(8)


@pytest.mark.usefixtures("verbosity")
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", 'parsing "": invalid syntax'),
        (b"x", 'parsing "x": invalid syntax'),
        (b"-1", 'parsing "-1": invalid syntax'),
        (b"+1", 'parsing "+1": invalid syntax'),
        (b"1\n", r'parsing "1\n": invalid syntax'),
        (b"1_0", 'parsing "1_0": invalid syntax'),
        (b"\xff", r'parsing "\xff": invalid syntax'),
        ("٣".encode(), 'parsing "٣": invalid syntax'),
        (b"4294967296", 'parsing "4294967296": value out of range'),
        (b"9" * 40, f'parsing "{"9" * 40}": value out of range'),
    ],
)
def test_what_is_no_level_changes_nothing_and_is_named(body: bytes, words: str) -> None:
    log.set_verbosity(3)
    reply = set_verbosity(body, "PUT")
    assert (reply.code, b"".join(reply.parts).decode()) == (400, f"strconv.ParseUint: {words}\n")
    assert log.verbosity() == 3


@pytest.mark.usefixtures("verbosity")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_the_level_is_only_ever_put(method: str) -> None:
    reply = set_verbosity(b"9", method)
    assert (reply.code, reply.parts) == (406, [b"unsupported http method\n"])
    assert not log.enabled(9)

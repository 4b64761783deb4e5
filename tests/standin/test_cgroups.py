"""Groups and names out of /proc/PID/cgroup."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymetrics_server.standin.cgroups import (
    dns_label,
    group_name,
    of_system,
    parse_cgroup,
    separating_path,
    service_name,
    suffixed,
    systemd_unit,
)

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

V1_INIT = "12:memory:/init.scope\n4:cpu,cpuacct:/init.scope\n1:name=systemd:/init.scope\n0::/init.scope\n"
V1_NGINX = """\
12:memory:/system.slice/nginx.service
4:cpu,cpuacct:/system.slice
1:name=systemd:/system.slice/nginx.service
0::/system.slice/nginx.service
"""
V1_BARE = "9:name=systemd:/\n8:pids:/\n4:memory:/jobs/0b1d799125ab14ce7e51fa281a62f27b\n2:cpuacct:/\n0::/\n"
V2_INIT = "0::/init.scope\n"
V2_APP = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox-42.scope\n"
CONTAINER_ID = "3f4a" * 16


def path_of(own: str, init: str) -> str:
    return separating_path(parse_cgroup(own), parse_cgroup(init))


@pytest.mark.parametrize(
    ("own", "init", "path"),
    [
        (V1_NGINX, V1_INIT, "/system.slice/nginx.service"),
        (V1_BARE, "4:memory:/\n0::/\n", "/jobs/0b1d799125ab14ce7e51fa281a62f27b"),
        (V2_APP, V2_INIT, "/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox-42.scope"),
        ("0::/a/b (deleted)\n", V2_INIT, "/a/b"),
    ],
)
def test_a_process_is_told_apart_by_its_own_cgroup_under_v1_and_v2(own: str, init: str, path: str) -> None:
    assert path_of(own, init) == path


@pytest.mark.parametrize(
    ("own", "init"),
    [
        ("0::/\n", "0::/\n"),
        ("", ""),
        (
            f"0::/system.slice/docker-{CONTAINER_ID}.scope\n",
            f"0::/system.slice/docker-{CONTAINER_ID}.scope\n",
        ),
        (f"4:memory:/docker/{CONTAINER_ID}\n", f"4:memory:/docker/{CONTAINER_ID}\n"),
    ],
)
def test_inside_a_container_whose_processes_share_one_cgroup_it_tells_nothing_apart(
    own: str, init: str
) -> None:
    assert path_of(own, init) == ""


def test_the_innermost_unit_of_a_login_names_the_group() -> None:
    path = path_of(V2_APP, V2_INIT)

    assert systemd_unit(path) == "app-firefox-42.scope"
    assert not of_system(path)
    assert of_system("/system.slice/nginx.service")
    assert systemd_unit("/jobs/one") == ""


def test_services_are_called_after_what_they_serve() -> None:
    assert service_name("getty@tty1.service") == "getty"
    assert service_name("session-3.scope") == ""


def test_containers_ids_are_replaced_by_what_runs_in_them() -> None:
    assert group_name("/system.slice/nginx.service", "nginx") == "nginx-service"
    assert group_name(f"/system.slice/docker-{CONTAINER_ID}.scope", "postgres") == "postgres-3f4a3f4a3f4a"
    assert group_name(f"/docker/{CONTAINER_ID}", "redis-server") == "redis-server-3f4a3f4a3f4a"


@settings(deadline=None)
@given(st.text())
def test_any_text_becomes_a_label_that_kubernetes_takes(text: str) -> None:
    assert LABEL.fullmatch(dns_label(text))
    assert LABEL.fullmatch(suffixed(dns_label(text), text))


def test_long_names_with_one_beginning_stay_apart() -> None:
    assert dns_label("a" * 80 + "1") != dns_label("a" * 80 + "2")


@settings(deadline=None)
@given(st.text())
def test_no_text_of_proc_breaks_the_parser(text: str) -> None:
    separating_path(parse_cgroup(text), parse_cgroup(text))

"""Which addresses may be connected to, in every spelling that leads to one."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.feeds.sources import HttpSource, S3Source
from shared.settings import SourceSettings
from shared.sources import addresses
from shared.sources.addresses import is_host, is_own, is_public, literal, may_connect, resolve
from shared.sources.errors import SourceFailed
from shared.sources.rules import problem_of

PRIVATE = [
    *("0.0.0.0", "0.1.2.3"),  # noqa: S104
    *("10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1"),
    *("127.255.255.254", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.8"),
    *("192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1"),
    *("239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fe80::1%1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1", "2001:db8::1"),
    *("2001::1", "2001:0:7f00:1::", "3fff::1", "5f00::1", "64:ff9b:1::1", "::7f00:1", "::8.8.8.8"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *("2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:c0a8:1::1"),
]
PUBLIC = [
    *("8.8.8.8", "1.1.1.1", "93.184.216.34", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1"),
    *("2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"),
]


@pytest.mark.parametrize("text", PRIVATE)
def test_what_is_not_the_publics_is_refused(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_the_publics_addresses_are_not(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_judged_as_it_is_by_itself(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    forms = [
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80) | 1),
    ]
    assert [is_public(form) for form in forms] == [is_public(address)] * 3
    assert [is_own(form) for form in forms] == [is_own(address)] * 3


@given(st.ip_addresses())
def test_what_python_calls_private_is_never_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    inside = addresses._ipv4_inside(address) if isinstance(address, ipaddress.IPv6Address) else None
    judged = inside or address
    if judged.is_private or judged.is_multicast or judged.is_loopback or judged.is_link_local or judged.is_reserved:
        assert not is_public(address)
    assert not (is_public(address) and is_own(address))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0", "0.0.0.0"),  # noqa: S104
        ("[::1]", "::1"),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
        ("3232235521", "192.168.0.1"),
        ("shop.example", None),
        ("a.b", None),
        ("1.2.3.4.5", None),
        ("", None),
        ("ünï.example", None),
    ],
)
def test_an_address_is_known_in_any_spelling(host: str, address: str | None) -> None:
    assert literal(host) == (address and ipaddress.ip_address(address))


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "::1", "0"])
def test_a_spelling_is_resolved_as_the_system_does_and_refused(host: str) -> None:
    with pytest.raises(SourceFailed) as caught:
        resolve(host, 80, ())
    assert caught.value.code in ("source_address_refused", "source_unreachable")


def answers(monkeypatch: pytest.MonkeyPatch, *found: str) -> None:
    def getaddrinfo(_host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_name_that_leads_inside_as_well_is_refused_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "93.184.216.34", "10.0.0.1")
    with pytest.raises(SourceFailed) as caught:
        resolve("shop.example", 443, ())
    assert caught.value.code == "source_address_refused"
    assert "10.0.0.1" not in caught.value.detail


def test_a_named_host_may_be_in_a_private_network_and_never_where_clouds_tell_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers(monkeypatch, "10.0.0.1")
    assert resolve("Erp.Internal.", 80, {"erp.internal"}) == ["10.0.0.1"]
    for metadata in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "0.0.0.0"):  # noqa: S104
        assert not may_connect(ipaddress.ip_address(metadata), "erp.internal", {"erp.internal"})


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example", "a..b"])
def test_a_name_that_leads_nowhere(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(name: str, *_: Any, **__: Any) -> list[Any]:
        name.encode("idna")
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(SourceFailed) as caught:
        resolve(host, 80, ())
    assert (caught.value.code, caught.value.passing) == ("source_unreachable", False)


# --- what a definition may say at all ---

SETTINGS = SourceSettings(hosts=frozenset({"localhost"}), buckets=frozenset({"feeds"}), secrets_prefix="p/")


@pytest.mark.parametrize(
    ("url", "is_fine"),
    [
        ("https://shop.example/feed.csv", True),
        ("http://localhost:8080/feed.csv", True),
        ("http://8.8.8.8/feed.csv", True),
        ("http://127.0.0.1/feed.csv", False),
        ("http://2130706433/feed.csv", False),
        ("http://0x7f.1/feed.csv", False),
        ("http://[::ffff:169.254.169.254]/latest/meta-data", False),
        ("http://169.254.169.254/latest/meta-data", False),
    ],
)
def test_a_private_address_is_refused_when_it_is_saved(url: str, is_fine: bool) -> None:
    problem = problem_of(HttpSource(type="http", url=url), "ws_1", SETTINGS)
    assert (problem is None) == is_fine
    assert problem is None or problem.field == "source.url"


@pytest.mark.parametrize(
    ("bucket", "key", "field"),
    [
        ("feeds", "ws_1/stock.csv", None),
        ("feeds", "ws_2/stock.csv", "source.key"),
        ("feeds", "ws_1", "source.key"),
        ("feeds", "ws_10/stock.csv", "source.key"),
        ("others", "ws_1/stock.csv", "source.bucket"),
    ],
)
def test_a_workspace_reads_its_own_folder_of_the_deployments_buckets(bucket: str, key: str, field: str | None) -> None:
    problem = problem_of(S3Source(type="s3", bucket=bucket, key=key), "ws_1", SETTINGS)
    assert (problem and problem.field) == field


def test_an_upload_or_no_source_is_always_fine() -> None:
    assert problem_of(None, "ws_1", SETTINGS) is None


@pytest.mark.parametrize(
    "host",
    [
        *("shop.example", "SHOP.example.", "my_shop.example", "localhost", "8.8.8.8", "::1", "2130706433"),
        *("ünï.example", "xn--n-nga1b.example", "a." * 121 + "example.xx", "faß.example"),
    ],
)
def test_what_can_be_a_host(host: str) -> None:
    assert is_host(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", ".", "xn--", "xn--a", "shop.xn--a", "xn--zz--zz99999.example"),
        *("ü..example", "a." * 128, "a." * 124 + "example", "ü" * 300),
    ],
)
def test_what_can_be_no_host_is_told_when_the_feed_is_saved(host: str) -> None:
    assert not is_host(host)
    if host:
        problem = problem_of(HttpSource(type="http", url=f"https://{host}/feed.csv"), "ws_1", SETTINGS)
        assert problem is not None
        assert problem.field == "source.url"


@given(st.text(max_size=300))
def test_any_text_is_a_host_or_none(host: str) -> None:
    assert is_host(host) in (True, False)

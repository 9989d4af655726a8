"""Which addresses a webhook may have."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from app.webhooks.addresses import AddressPolicy, Target, UnsafeAddress, is_public

HOSTILE = [
    # other schemes and no scheme
    "http://example.com/hook",
    "ftp://example.com/hook",
    "file:///etc/passwd",
    "gopher://example.com:6379/_FLUSHALL",
    "unix:///tmp/valkey.sock",
    "//example.com/hook",
    "example.com/hook",
    "https:///hook",
    "https://",
    # this machine
    "https://localhost/",
    "https://localhost.localdomain./",
    "https://app.localhost/",
    "https://127.0.0.1/",
    "https://127.8.9.10/",
    "https://0.0.0.0/",
    "https://[::1]/",
    "https://[::]/",
    # this network
    "https://10.0.0.5/",
    "https://172.16.3.4/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://[fd00::1]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fec0::1]/",
    "https://redis/",
    "https://printer.local/",
    "https://db.internal/",
    # metadata of clouds
    "https://169.254.169.254/latest/meta-data/",
    "https://metadata.google.internal/",
    "https://100.100.100.200/",
    "https://168.63.129.16/",
    "https://192.0.0.192/",
    "https://[fd00:ec2::254]/",
    # numbers spelled oddly
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.0.0.1./",
    "https://1.2.3.4.5/",
    "https://256.256.256.256/",
    # IPv4 inside IPv6
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:0:127.0.0.1]/",
    "https://[::127.0.0.1]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:808:808::]/",
    "https://[64:ff9b::127.0.0.1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[64:ff9b:1::10.0.0.1]/",
    "https://[2001:0:808:808::1]/",
    "https://[2606:4700::5efe:10.0.0.1]/",
    "https://[2606:4700::200:5efe:a00:1]/",
    "https://[2606:4700::200:5efe:808:808]/",
    # nobody's server
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://192.88.99.1/",
    "https://198.18.0.1/",
    "https://[ff0e::1]/",
    "https://[2001:db8::1]/",
    # who is meant?
    "https://user@example.com/",
    "https://user:pass@example.com/",
    "https://example.com@127.0.0.1/",
    "https://example.com:443@127.0.0.1/",
    "https://@example.com/",
    "https://example.com\\@127.0.0.1/",
    "https://127.0.0.1\\.example.com/",
    "https://example.com#@127.0.0.1/",
    "https://exa%6dple.com/",
    "https://127.0.0.1%00.example.com/",
    "https://example.com%2eevil.com/",
    "https://[::1].example.com/",
    "https://[v1.a]/",
    "https://example..com/",
    "https://-example.com/",
    "https://exam ple.com/",
    "https://example.com/a b",
    "https://example.com/\r\nX-Evil: 1",
    "https://example.com/\t",
    " https://example.com/",
    "https://ⓔxample.com/",
    "https://１２７.0.0.1/",
    "https://127。0。0。1/",
    "https://example.com/é",
    # ports
    "https://example.com:22/",
    "https://example.com:6379/",
    "https://example.com:80/",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://example.com:-443/",
    "https://example.com:4e2/",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_addresses_are_refused(url: str) -> None:
    with pytest.raises(UnsafeAddress) as caught:
        AddressPolicy().check(url)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com", Target("https", "example.com", 443, "/")),
        ("HTTPS://Example.COM:8443/a?b=c", Target("https", "example.com", 8443, "/a?b=c")),
        (
            "https://hooks.example.co.uk/~me/%20x",
            Target("https", "hooks.example.co.uk", 443, "/~me/%20x"),
        ),
        (
            "https://xn--bcher-kva.example.org/",
            Target("https", "xn--bcher-kva.example.org", 443, "/"),
        ),
        ("https://8.8.8.8/h", Target("https", "8.8.8.8", 443, "/h")),
        ("https://[2606:4700::1111]/", Target("https", "2606:4700::1111", 443, "/")),
        ("https://[64:ff9b::8.8.8.8]/", Target("https", "64:ff9b::8.8.8.8", 443, "/")),
    ],
)
def test_plain_public_addresses_are_taken(url: str, target: Target) -> None:
    assert AddressPolicy().check(url) == target


def test_what_an_operator_may_allow() -> None:
    own = AddressPolicy(True, (), (ip_network("10.1.0.0/16"),))
    assert own.check("http://10.1.2.3:9000/x") == Target("http", "10.1.2.3", 9000, "/x")
    assert own.check("http://receiver:9000/").host == "receiver"
    assert own.check("http://receiver.internal/").port == 80
    for url in ("http://10.2.0.1/", "http://user@10.1.2.3/", "http://127.1/", "ftp://10.1.2.3/"):
        with pytest.raises(UnsafeAddress):
            own.check(url)


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("1.1.1.1", True),
        ("2a00:1450::1", True),
        ("::ffff:1.1.1.1", True),
        ("::ffff:10.0.0.1", False),
        ("100.127.255.255", False),
        ("203.0.113.7", False),
        ("240.0.0.1", False),
        ("3fff::1", False),
        ("4000::1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_public_or_not(text: str, public: bool) -> None:
    assert is_public(ip_address(text)) is public

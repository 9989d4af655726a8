"""Every spelling of an address means one server, for redis-py and Celery; others are refused."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import redis
from pydantic import SecretStr
from redis.sentinel import Sentinel

from jobs.connections import as_celery, celery_config, connect, connect_async, wait_until_ready
from jobs.errors import StoreError
from jobs.redis_address import RedisAddress, normalized
from jobs.settings import SharedSettings, read_settings

SAME = {
    "redis://127.0.0.1:6379/0": [
        *("redis://", "redis://127.0.0.1", "valkey://127.0.0.1/", "redis://127.0.0.1?db=0")
    ],
    "redis://u:p%40w@h:7000/3": [
        *("valkey://u:p%40w@h:7000/3", "redis://u:p%40w@h:7000?db=3"),
        "redis://u:p%40w@H:7000/?virtual_host=3",
    ],
    "unix:///run/r.sock?db=2": [
        *("unix:///run/r.sock?virtual_host=2", "redis+socket:///run/r.sock?virtual_host=2"),
        "redis+unix:///run/r.sock?db=2",
    ],
    "unix://u:p@/run/r.sock?db=0": [
        *("unix://u:p@/run/r.sock", "redis+socket://u:p@/run/r.sock?db=0")
    ],
    "redis://[::1]:6379/1": ["redis://[::1]/1", "valkey://[::1]:6379/1"],
    "sentinel://u:p%40w@a:26379,[::1]:7000/mine/2": [
        "sentinel://u:p%40w@a,[::1]:7000/mine/2",
    ],
    "sentinel://a:26379/mine/0?sentinel_password=p%40w": [
        "sentinel://a/mine?sentinel_password=p%40w"
    ],
    "sentinels://a:26379/mine/0?ssl_cert_reqs=required&ssl_check_hostname=true": [
        "sentinels://a/mine/"
    ],
    "rediss://h:6379/0?ssl_cert_reqs=required&ssl_check_hostname=true": [
        *("rediss://h", "valkeys://h?ssl_cert_reqs=CERT_REQUIRED")
    ],
}
PAIRS = [(given, meant) for meant, spellings in SAME.items() for given in (meant, *spellings)]


@pytest.mark.parametrize(("given", "meant"), PAIRS)
def test_spellings(given: str, meant: str) -> None:
    assert normalized(given) == meant
    assert SharedSettings(redis_url=given).redis_url == meant


# In a process of its own: kombu keeps the transports that it has once looked up.
CELERY = """
import json, sys
from types import SimpleNamespace
from kombu import Connection
from kombu.transport.redis import Channel

for url in sys.argv[1:]:
    channel = SimpleNamespace(**{k: getattr(Channel, k) for k in dir(Channel) if k[:2] != "__"})
    channel.connection = SimpleNamespace(client=Connection(url), default_port=6379)
    channel._prepare_virtual_host = lambda db: Channel._prepare_virtual_host(channel, db)
    channel._filter_tcp_connparams = lambda **given: given
    channel._process_credential_provider = lambda *_: None
    made = Channel._connparams(channel)
    print(json.dumps({**made, "connection_class": made["connection_class"].__name__}))
"""
URLS = [
    *(url for url in SAME if "sentinel" not in url),
    "rediss://:pw@h:1/5?ssl_cert_reqs=none&ssl_ca_certs=/ca.pem",
]
READS = {"none": 0, "optional": 1, "required": 2}


def test_both_libraries_read_the_same() -> None:
    command = [sys.executable, "-c", CELERY, *(as_celery(normalized(url)) for url in URLS)]
    answers = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    for url, answer in zip(URLS, answers.splitlines(), strict=True):
        ours, theirs = redis.Redis.from_url(normalized(url)).connection_pool, json.loads(answer)
        mine = ours.connection_kwargs
        for name in ("username", "password", "host", "port", "path", "ssl_ca_certs"):
            assert (mine.get(name) or None) == (theirs.get(name) or None), (url, name)
        assert int(mine.get("db", 0)) == theirs["db"], url
        assert theirs["connection_class"] == ours.connection_class.__name__, url
        if url.startswith("rediss"):
            assert READS[mine["ssl_cert_reqs"]] == theirs["ssl_cert_reqs"]
            assert mine["ssl_check_hostname"] == theirs["ssl_check_hostname"]


def test_celery_asks_each_sentinel_for_the_same_master() -> None:
    url = normalized("sentinels://:pw@a,b:7/mine/3?ssl_ca_certs=/ca&sentinel_password=other")
    config = celery_config(url, "mmml:")
    assert config["broker_url"] == "sentinel://:pw@a:26379/3;sentinel://:pw@b:7/3"
    tls = {"ssl_ca_certs": "/ca", "ssl_cert_reqs": "required", "ssl_check_hostname": True}
    assert config["broker_use_ssl"] == tls
    options = config["broker_transport_options"]
    assert options["master_name"] == "mine"
    asked = {"username": None, "password": "other", "ssl": True, **tls}
    assert asked.items() <= options["sentinel_kwargs"].items()


_SILENCE = 0.3  # seconds after which a Sentinel counts as away


def _ask_by_celery(url: str) -> None:
    options = celery_config(url, "mmml:", _SILENCE)["broker_transport_options"]
    asked, found = options["sentinel_kwargs"], RedisAddress.parse(url)
    Sentinel(found.pairs, sentinel_kwargs=asked).discover_master(options["master_name"])


@pytest.mark.parametrize(
    "ask",
    [
        lambda url: connect(url, _SILENCE).ping(),
        lambda url: asyncio.run(connect_async(url, _SILENCE).ping()),  # type: ignore[arg-type]
        _ask_by_celery,
    ],
)
def test_a_silent_sentinel_is_asked_once(ask: Callable[[str], object]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(redis.RedisError):
            ask(f"sentinel://127.0.0.1:{silent.getsockname()[1]}/mine/0")
        assert time.monotonic() - started < 5 * _SILENCE


def test_a_password_of_its_own_file_is_that_of_redis() -> None:
    with_one = SharedSettings(redis_url="sentinel://a,b/mine", redis_password=SecretStr("p@w"))
    assert with_one.redis_url == "sentinel://:p%40w@a:26379,b:26379/mine/0"
    found = RedisAddress.parse(with_one.redis_url)
    assert found.redis_arguments() == {"username": None, "password": "p@w", "db": 0}


@pytest.mark.parametrize(
    ("url", "result"),
    [
        ("sentinel://h:26379", "the master's name is missing after the Sentinels"),
        ("sentinel://h:26379/0", "the master's name is missing after the Sentinels"),
        ("sentinel://h:26379/mine/x", "must be one whole number"),
        ("sentinel://h:port/mine", "is no address of Sentinels"),
        ("sentinel://h/mine?ssl_ca_certs=/ca", "'ssl_ca_certs' is not served with sentinel://"),
        ("sentinels://h/mine?ssl_cert_reqs=maybe", "must be one of required, optional, none"),
        ("redis+sentinel://h:26379/mine/0", r"redis\+sentinel:// is not served"),
        ("redis+cluster://h:7000", r"redis\+cluster:// is not served"),
        ("localhost:6379", "the scheme is missing|is not served"),
        ("127.0.0.1", "the scheme is missing"),
        ("redis://h/birds", "must be one whole number"),
        ("redis://h/1?db=2", "must be one whole number"),
        ("redis://h/-1", "must be one whole number"),
        ("redis://h:port/0", "is no address of Redis"),
        ("redis://u:p#w@h/0", "is written %23"),
        ("unix://run/redis.sock", "with three slashes"),
        ("unix://", "with three slashes"),
        ("redis://h/0?ssl_cert_reqs=none", "'ssl_cert_reqs' is not served with redis://"),
        ("redis://h/0?family=6", "the option 'family'"),
        ("rediss://h/0?ssl_cert_reqs=maybe", "must be one of required, optional, none"),
        ("rediss://h/0?ssl_check_hostname=1", "must be true or false"),
    ],
)
def test_what_would_be_ignored_in_silence_is_refused(url: str, result: str) -> None:
    with pytest.raises(ValueError, match=result):
        normalized(url)
    with pytest.raises(ValueError, match=result):
        SharedSettings(redis_url=url)


def test_a_process_ends_with_a_sentence_that_holds_no_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MMML_REDIS_URL", "sentinel://:hunter2@h:26379")
    monkeypatch.setenv("MMML_LEASE_TTL", "0")
    with pytest.raises(SystemExit) as caught:
        read_settings(SharedSettings)
    result = str(caught.value).splitlines()
    assert result[0].startswith("mmml: MMML_REDIS_URL can't be used: the master's name is missing")
    assert result[1].startswith("mmml: MMML_LEASE_TTL can't be used:")
    assert "hunter2" not in str(caught.value)


def test_a_refused_login_is_not_waited_for(valkey: str) -> None:
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"Redis does not answer: .*[^.]\. Is it running"):
        wait_until_ready(valkey.replace("unix://", "unix://nobody:wrong@"), 30)
    assert time.monotonic() - began < 10

"""The address of Redis in one form.

Each library reads some spellings of an address, and ignores in silence what it does not know; so an
address is brought into one form first, and what that can't say is refused. An address of Sentinels
names them and the master that they watch; it means whichever server is that master now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

_SCHEMES = {
    "redis": "redis",
    "valkey": "redis",
    "rediss": "rediss",
    "valkeys": "rediss",
    "unix": "unix",
    "redis+socket": "unix",
    "redis+unix": "unix",
    "sentinel": "sentinel",
    "sentinels": "sentinels",
}
_SENTINELS = ("sentinel", "sentinels")
_DATABASE = ("db", "virtual_host")
_TLS = ("ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname")
_LOGIN = ("sentinel_username", "sentinel_password")
_OPTIONS = {"rediss": _TLS, "sentinel": _LOGIN, "sentinels": (*_LOGIN, *_TLS)}
_CERTIFICATES = ("required", "optional", "none")
_HELP = (
    "Write redis://USER:PASSWORD@HOST:PORT/DB, rediss:// for TLS, unix:///PATH?db=DB, or "
    "sentinel://HOST:26379,HOST:26379/MASTER/DB."
)


def normalized(url: str) -> str:
    """The address as redis-py reads it, or of Sentinels. Raises ValueError, with a sentence."""
    return str(RedisAddress.parse(url))


def with_password(url: str, password: str) -> str:
    """The address with a password, unless it has one."""
    found = RedisAddress.parse(url)
    if ":" in found.login or not password:
        return url
    return str(replace(found, login=f"{found.login}:{quote(password, safe='')}"))


@dataclass(frozen=True)
class RedisAddress:
    """``scheme``: redis, rediss with TLS, unix, sentinel, or sentinels with TLS for Redis and
    Sentinels alike; ``login``: USER:PASSWORD of Redis, as written; ``hosts``: HOST:PORT of Redis or
    of the Sentinels; ``path``: of the socket, or the name under which Sentinels watch the master;
    ``options``: those of TLS, and what Sentinels ask for themselves.
    """

    scheme: str
    login: str
    hosts: tuple[str, ...]
    path: str
    database: int
    options: dict[str, str]

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises ValueError, with a sentence."""
        if "#" in url:
            raise ValueError("a # in a user name or password is written %23")
        try:
            parts = urlsplit(url.strip())
            scheme = _SCHEMES.get(parts.scheme, "")
            login, _, places = parts.netloc.rpartition("@")
            hosts = tuple(_hosts(scheme, places))
        except ValueError as error:
            who = "Sentinels" if url.strip().startswith("sentinel") else "Redis"
            raise ValueError(f"this is no address of {who}. {_HELP}") from error
        if not scheme:
            given = f"{parts.scheme}:// is not served" if "://" in url else "the scheme is missing"
            raise ValueError(f"{given}. {_HELP}")
        query = dict(parse_qsl(parts.query))
        path, numbers = _path(scheme, parts, query)
        if unknown := [name for name in query if name not in _OPTIONS.get(scheme, ())]:
            raise ValueError(f"the option {unknown[0]!r} is not served with {scheme}://. {_HELP}")
        options = _tls_options(query) if scheme in ("rediss", "sentinels") else query
        return cls(scheme, login, hosts, path, _one_number(numbers - {""}), options)

    def __str__(self) -> str:
        login = f"{self.login}@" if self.login else ""
        if self.scheme == "unix":
            return f"unix://{login}{self.path}?db={self.database}"
        master = f"{self.path}/" if self.path else ""
        tail = f"?{urlencode(self.options)}" if self.options else ""
        return f"{self.scheme}://{login}{','.join(self.hosts)}/{master}{self.database}{tail}"

    @property
    def is_sentinel(self) -> bool:
        """Whether it names Sentinels, not Redis itself."""
        return self.scheme in _SENTINELS

    @property
    def pairs(self) -> list[tuple[str, int]]:
        """Host and port of each Sentinel."""
        read = [urlsplit(f"//{host}") for host in self.hosts]
        return [(one.hostname or "", one.port or 0) for one in read]

    def tls_arguments(self) -> dict[str, Any]:
        """Of a connection of redis-py, to Redis and to Sentinels; empty without TLS."""
        named = {name: value for name, value in self.options.items() if name in _TLS}
        return (
            {**named, "ssl_check_hostname": named["ssl_check_hostname"] == "true"} if named else {}
        )

    def redis_arguments(self) -> dict[str, Any]:
        """Of a connection to the master."""
        user, _, password = self.login.partition(":")
        named = {"username": unquote(user) or None, "password": unquote(password) or None}
        secure = {"ssl": True, **self.tls_arguments()} if self.scheme == "sentinels" else {}
        return {**named, **secure, "db": self.database}

    def sentinel_arguments(self) -> dict[str, Any]:
        """Of a connection to a Sentinel."""
        user, password = (self.options.get(name) for name in _LOGIN)
        secure = {"ssl": True, **self.tls_arguments()} if self.scheme == "sentinels" else {}
        return {"username": user, "password": password, **secure}


def _hosts(scheme: str, places: str) -> Iterator[str]:
    sentinel = scheme in _SENTINELS
    for place in places.split(",") if sentinel else [places]:
        one = urlsplit(f"//{place}")
        name, port = one.hostname or "127.0.0.1", one.port or (26379 if sentinel else 6379)
        yield f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _path(scheme: str, parts: SplitResult, query: dict[str, str]) -> tuple[str, set[str]]:
    """The path of a socket or the name of a master; and the database, however often it is named,
    which is taken out of ``query``.
    """
    path = parts.path.strip("/")
    if scheme in _SENTINELS:
        master, _, database = path.partition("/")
        if not master or master.isdigit():  # as Celery writes it
            raise ValueError(f"the master's name is missing after the Sentinels. {_HELP}")
        return master, {database}
    named = {query.pop(name) for name in _DATABASE if name in query}
    if scheme != "unix":
        return "", {*named, path}
    if parts.hostname or not path:
        raise ValueError("a socket's path is absolute: unix:///PATH, with three slashes")
    return parts.path, named


def _one_number(given: set[str]) -> int:
    if len(given) > 1 or not all(value.isascii() and value.isdigit() for value in given):
        raise ValueError(f"the database must be one whole number, and is {' or '.join(given)!r}")
    return int(given.pop()) if given else 0


def _tls_options(query: dict[str, str]) -> dict[str, str]:
    """Certificates are checked unless the address says otherwise."""
    wanted = query.get("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    if wanted not in _CERTIFICATES:
        raise ValueError(f"ssl_cert_reqs must be one of {', '.join(_CERTIFICATES)}")
    checked = query.get("ssl_check_hostname", "true" if wanted == "required" else "false").lower()
    if checked not in ("true", "false"):
        raise ValueError("ssl_check_hostname must be true or false")
    return {**query, "ssl_cert_reqs": wanted, "ssl_check_hostname": checked}

"""The address of Redis in one form.

Each library reads some spellings of an address, and ignores in silence what it does not know; so an
address is brought into one form first, and what that can't say is refused. An address of Sentinels
names them and the master that they watch; it means whichever server is that master now.
"""

from __future__ import annotations

from dataclasses import dataclass
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
}
_DATABASE = ("db", "virtual_host")
_TLS = ("ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname")
_CERTIFICATES = ("required", "optional", "none")
_SENTINELS = ("sentinel", "sentinels")
_SENTINEL_PORT = 26379
_LOGIN = ("sentinel_username", "sentinel_password")
_HELP = (
    "Write redis://USER:PASSWORD@HOST:PORT/DB, rediss:// for TLS, unix:///PATH?db=DB, or "
    "sentinel://HOST:26379,HOST:26379/MASTER/DB."
)


def normalized(url: str) -> str:
    """The address as redis-py reads it, or as :class:`SentinelAddress` does. Raises ValueError,
    with a sentence.
    """
    if "#" in url:
        raise ValueError("a # in a user name or password is written %23")
    if is_sentinel(url.strip()):
        return str(SentinelAddress.parse(url.strip()))
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise ValueError(f"this is no address of Redis. {_HELP}") from error
    if parts.scheme not in _SCHEMES:
        given = f"{parts.scheme}:// is not served" if "://" in url else "the scheme is missing"
        raise ValueError(f"{given}. {_HELP}")
    scheme, query = _SCHEMES[parts.scheme], dict(parse_qsl(parts.query))
    database = _database(scheme, parts, query)
    _refuse_unknown(scheme, query, _TLS if scheme == "rediss" else ())
    options = _tls_options(query) if scheme == "rediss" else {}
    login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    if scheme == "unix":
        return f"unix://{login}{parts.path}?db={database}"
    host = _host(parts, port or 6379)
    return f"{scheme}://{login}{host}/{database}{_tail(options)}"


def with_password(url: str, password: str) -> str:
    """The address with a password, unless it has one."""
    scheme, rest = url.split("://", 1)
    login, at, place = rest.rpartition("@")
    if ":" in login or not password:
        return url
    return f"{scheme}://{login}:{quote(password, safe='')}@{place if at else rest}"


def _host(parts: SplitResult, port: int) -> str:
    name = parts.hostname or "127.0.0.1"
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _tail(options: dict[str, str]) -> str:
    return f"?{urlencode(options)}" if options else ""


def _refuse_unknown(scheme: str, query: dict[str, str], known: tuple[str, ...]) -> None:
    if unknown := [name for name in query if name not in known]:
        raise ValueError(f"the option {unknown[0]!r} is not served with {scheme}://. {_HELP}")


def _database(scheme: str, parts: SplitResult, query: dict[str, str]) -> int:
    """The number, from the path or from the option that names it; 0 when there is none."""
    if scheme == "unix" and (parts.hostname or not parts.path):
        raise ValueError("a socket's path is absolute: unix:///PATH, with three slashes")
    named = [query.pop(name) for name in _DATABASE if name in query]
    path = "" if scheme == "unix" else parts.path.strip("/")
    return _one_number({value for value in (*named, path) if value})


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


def is_sentinel(url: str) -> bool:
    """Whether an address names Sentinels, not Redis itself."""
    return url.partition("://")[0] in _SENTINELS


@dataclass(frozen=True)
class SentinelAddress:
    """``sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/MASTER/DB``: user and password of Redis,
    addresses of Sentinels, the name under which they watch the master. ``options``: those of TLS
    (``sentinels://``, for Redis and Sentinels alike) and what the Sentinels ask for themselves.
    """

    login: str  # as written, USER:PASSWORD
    hosts: tuple[str, ...]  # HOST:PORT
    master: str
    database: int
    tls: bool
    options: dict[str, str]

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises ValueError, with a sentence."""
        parts = urlsplit(url)
        login, _, places = parts.netloc.rpartition("@")
        try:
            each = [urlsplit(f"//{place}") for place in places.split(",")]
            hosts = tuple(_host(one, one.port or _SENTINEL_PORT) for one in each)
        except ValueError as error:
            raise ValueError(f"this is no address of Sentinels. {_HELP}") from error
        master, _, database = parts.path.strip("/").partition("/")
        if not master or master.isdigit():  # as Celery writes it
            raise ValueError(f"the master's name is missing after the Sentinels. {_HELP}")
        query, tls = dict(parse_qsl(parts.query)), parts.scheme == "sentinels"
        _refuse_unknown(parts.scheme, query, (*_LOGIN, *_TLS) if tls else _LOGIN)
        options = _tls_options(query) if tls else query
        return cls(login, hosts, master, _one_number({database} - {""}), tls, options)

    def __str__(self) -> str:
        login = f"{self.login}@" if self.login else ""
        scheme = "sentinels" if self.tls else "sentinel"
        place = f"{','.join(self.hosts)}/{self.master}/{self.database}"
        return f"{scheme}://{login}{place}{_tail(self.options)}"

    @property
    def pairs(self) -> list[tuple[str, int]]:
        """Host and port of each Sentinel."""
        read = [urlsplit(f"//{host}") for host in self.hosts]
        return [(one.hostname or "", one.port or _SENTINEL_PORT) for one in read]

    def tls_arguments(self) -> dict[str, Any]:
        """Of a connection of redis-py, to Redis and to Sentinels; empty without TLS."""
        if not self.tls:
            return {}
        named = {name: value for name, value in self.options.items() if name in _TLS}
        return {**named, "ssl_check_hostname": named["ssl_check_hostname"] == "true"}

    def redis_arguments(self) -> dict[str, Any]:
        """Of a connection to the master."""
        user, _, password = self.login.partition(":")
        named = {"username": unquote(user) or None, "password": unquote(password) or None}
        secure = {"ssl": True, **self.tls_arguments()} if self.tls else {}
        return {**named, **secure, "db": self.database}

    def sentinel_arguments(self) -> dict[str, Any]:
        """Of a connection to a Sentinel."""
        user, password = (self.options.get(name) for name in _LOGIN)
        secure = {"ssl": True, **self.tls_arguments()} if self.tls else {}
        return {"username": user, "password": password, **secure}

"""One address of Redis, one meaning: for the job store, its subscriptions and Celery alike.

Each library reads some spellings, and ignores in silence what it does not know; so an address is
brought into one form first, and what that can't say is refused.
"""

from __future__ import annotations

from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

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
_HELP = "Write redis://USER:PASSWORD@HOST:PORT/DB, rediss:// for TLS, or unix:///PATH?db=DB."


def normalized(url: str) -> str:
    """The address as redis-py reads it. Raises ValueError, with a sentence."""
    if "#" in url:
        raise ValueError("a # in a user name or password is written %23")
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise ValueError(f"this is no address of Redis. {_HELP}") from error
    if parts.scheme not in _SCHEMES:
        given = f"{parts.scheme}:// is not served" if "://" in url else "the scheme is missing"
        raise ValueError(f"{given}: one server is named. {_HELP}")
    scheme, query = _SCHEMES[parts.scheme], dict(parse_qsl(parts.query))
    database = _database(scheme, parts, query)
    if unknown := [name for name in query if scheme != "rediss" or name not in _TLS]:
        raise ValueError(f"the option {unknown[0]!r} is not served with {scheme}://. {_HELP}")
    options = _tls_options(query) if scheme == "rediss" else {}
    login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    if scheme == "unix":
        return f"unix://{login}{parts.path}?db={database}"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    tail = f"?{urlencode(options)}" if options else ""
    return f"{scheme}://{login}{host or '127.0.0.1'}:{port or 6379}/{database}{tail}"


def _database(scheme: str, parts: SplitResult, query: dict[str, str]) -> int:
    """The number, from the path or from the option that names it; 0 when there is none."""
    if scheme == "unix" and (parts.hostname or not parts.path):
        raise ValueError("a socket's path is absolute: unix:///PATH, with three slashes")
    named = [query.pop(name) for name in _DATABASE if name in query]
    path = "" if scheme == "unix" else parts.path.strip("/")
    given = {value for value in (*named, path) if value}
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


def as_celery(url: str) -> str:
    """A normalized address in Celery's words, which spells sockets and databases differently."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return url
    return (
        f"redis+socket://{parts.netloc}{parts.path}?virtual_host={parts.query.removeprefix('db=')}"
    )

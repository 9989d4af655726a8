"""Pictures written as text: base64 as the world sends it, and data URLs."""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote_to_bytes

_WHITESPACE = b"\t\n\f\r "
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_DATA_URL = re.compile(r"data:([^,]{0,1000}),", re.IGNORECASE)
_IS_BASE64 = re.compile(r";\s*base64\s*$", re.IGNORECASE)


def decode_text(text: str) -> bytes:
    """The bytes of base64 or of a data URL, whatever type and parameters that names. Raises
    ValueError.
    """
    header = _DATA_URL.match(text)
    if header is None:
        return forgiving_base64(text)
    body = unquote_to_bytes(text[header.end() :])
    return forgiving_base64(body.decode("ascii")) if _IS_BASE64.search(header[1]) else body


def forgiving_base64(text: str) -> bytes:
    """WHATWG's forgiving-base64 decode (https://infra.spec.whatwg.org/#forgiving-base64-decode):
    line breaks and spaces don't matter, nor does the padding. Takes the alphabet for URLs, too.
    Raises ValueError.
    """
    packed = text.encode("ascii").translate(_FROM_URL_SAFE, _WHITESPACE).rstrip(b"=")
    return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)

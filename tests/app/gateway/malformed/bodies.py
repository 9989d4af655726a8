"""Bodies and forms."""

# ruff: noqa: E501 (one line for each case)
from __future__ import annotations

import base64
import gzip
import json

from tests.app.gateway.malformed.requests import (
    CONVERT,
    FORMS,
    LIBRARY,
    TEXT,
    as_json,
    disposition,
    with_body,
    with_form,
)
from tests.picture_files import png

TEXT_PART = (disposition(b"text"), TEXT.encode())
IMAGE_PART = (disposition(b"image", b"a.png"), png())
BODIES = [
    with_body("no body", 400, "The body is not valid JSON", b""),
    with_body("no body of no type", 415, "Content-Type is missing", b"", ""),
    with_body("json of no type", 415, "Content-Type is missing", as_json({"text": TEXT}), ""),
    with_body("json that is cut", 400, "let a JSON library write it", b'{"text": "a bird"'),
    with_body("json with a remark", 400, "not valid JSON", b'{"text": "a bird" /* red */}'),
    with_body("json that is a list", 422, 'must be a JSON object such as {"field": "value"}.', b"[]"),
    with_body("json that is a string", 422, "must be a JSON object such as", b'"a bird"'),
    with_body("json that is null", 422, "must be a JSON object such as", b"null"),
    with_body("json nested ten thousand times", 400, "far more values", b'{"a":' * 20_000),
    with_body("json nested a thousand times", 400, "not valid JSON", b'{"text":' * 1000),
    with_body("json of a megabyte", 413, "128 kB", as_json({"text": "a" * 2**20})),
    with_body("json of thirty thousand values", 400, "far more values", as_json([1] * 30_000)),
    with_body("json of a hundred fields", 422, "more than 32 fields", as_json({str(k): 1 for k in range(100)})),
    with_body("json in gzip", 415, "Content-Encoding gzip is not taken", gzip.compress(as_json({"text": TEXT})), **{"Content-Encoding": "gzip"}),
    with_body("json in two encodings", 415, "Content-Encoding gzip, br", b"x", **{"Content-Encoding": "gzip, br"}),
    with_body("json encoded as itself", 202, "", as_json({"text": TEXT}), **{"Content-Encoding": "Identity"}),
    with_body("json in latin-1", 400, "not valid JSON", '{"text": "a bïrd"}'.encode("latin-1")),
    with_body("json in utf-16", 202, "", json.dumps({"text": TEXT}).encode("utf-16")),
    with_body("json with a byte order mark", 202, "", b"\xef\xbb\xbf" + as_json({"text": TEXT})),
    with_body("json that says it is text", 415, "Send application/json", as_json({"text": TEXT}), "text/plain"),
    with_body("the picture alone", 415, "or multipart/form-data", png(), "image/png", "/manipulate"),
    with_body("xml", 415, "Send application/json", b"<text>a bird</text>", "application/xml"),
    with_body("a type that is no type", 415, "Send application/json", b"{}", ";;=,/"),
    with_body("urlencoded json", 415, "looks like JSON", as_json({"text": TEXT}), "application/x-www-form-urlencoded"),
    with_body("urlencoded nothing", 422, "text is required", b"&&&&", "application/x-www-form-urlencoded"),
    with_body("urlencoded noise", 422, "is not a field", b"%zz=%&=", "application/x-www-form-urlencoded"),
    with_body("urlencoded in Latin-1", 400, "bytes that are not UTF-8; send its text as UTF-8", b"text=a+gr%FCn+bird", "application/x-www-form-urlencoded"),
    with_body("a name that is not UTF-8", 400, "bytes that are not UTF-8; send its text as UTF-8", b"text=a+bird&gr\xfcn=1", "application/x-www-form-urlencoded"),
    with_body("more weights than texts", 422, "as many weight fields as text fields", b"text=a+bird&text=bird&weight=1&weight=2&weight=3", "application/x-www-form-urlencoded"),
    with_body("a weight of one text", 422, "as many weight fields as text fields", b"text=a+bird&weight=1", "application/x-www-form-urlencoded"),
    with_body("a weight that is no number", 422, "text.1.weight must be a number", b"text=a+bird&text=bird&weight=1&weight=x", "application/x-www-form-urlencoded"),
    with_body("nine texts", 422, "text has more than 8 entries", b"&".join([b"text=bird"] * 9), "application/x-www-form-urlencoded"),
    with_body("ten thousand fields", 400, LIBRARY, b"a=1&" * 10_000, "application/x-www-form-urlencoded"),
]  # fmt: skip


MULTIPART = [
    with_form("two fields and a file", 202, "", TEXT_PART, IMAGE_PART),
    with_form("a preamble", 202, "", TEXT_PART, IMAGE_PART, start=b"This is a form.\r\n"),
    with_form("a blank line before it", 202, "", TEXT_PART, IMAGE_PART, start=b"\r\n"),
    with_form("file name in RFC 5987 alone", 202, "", TEXT_PART, (disposition(b"image") + b"; filename*=UTF-8''%e2%82%ac.png", png())),
    with_form("file name in both forms", 202, "", TEXT_PART, (disposition(b"image", b"a.png") + b"; filename*=UTF-8''b.png", png())),
    with_form("file name in capitals", 202, "", TEXT_PART, (disposition(b"image") + b"; FileName* = iso-8859-1'en'%A3.png", png())),
    with_form("no boundary", 400, "Missing boundary", TEXT_PART, kind="multipart/form-data"),
    with_form("an empty boundary", 400, LIBRARY, TEXT_PART, kind="multipart/form-data; boundary="),
    with_form("another boundary", 400, LIBRARY, TEXT_PART, kind="multipart/form-data; boundary=x"),
    with_form("boundary of 5000 letters", 400, LIBRARY, TEXT_PART, kind="multipart/form-data; boundary=" + "x" * 5000),
    with_form("no end", 422, "text is required", IMAGE_PART, TEXT_PART, end=b""),
    with_form("mixed, not a form", 415, "multipart/form-data", TEXT_PART, kind="multipart/mixed; boundary=b0undary"),
    with_form("part without a name", 400, 'field "name" must be provided', (b"Content-Disposition: form-data", b"x")),
    with_form("part without a disposition", 400, 'field "name" must be provided', (b"Content-Type: text/plain", b"x")),
    with_form("part without headers", 400, LIBRARY, (b"", b"x")),
    with_form("header line without a colon", 400, LIBRARY, (b"Content-Disposition", b"x")),
    with_form("header line of 100 kB", 400, LIBRARY, (disposition(b"text") + b"\r\nX: " + b"x" * 100_000, b"x")),
    with_form("a thousand header lines", 400, LIBRARY, (disposition(b"text") + b"\r\nX: y" * 1000, b"x")),
    with_form("a thousand parts", 400, "Too many fields", *[TEXT_PART] * 1000),
    with_form("two photos", 400, "The form can't be used: Too many files. Maximum number of files is 1.", TEXT_PART, IMAGE_PART, IMAGE_PART),
    with_form("two texts", 422, "text is given twice; send it once", TEXT_PART, TEXT_PART, IMAGE_PART),
    with_form("the photo as text", 422, FORMS, TEXT_PART, (disposition(b"image"), png())),
    with_form("the text as a file", 400, "Too many files", (disposition(b"text", b"t.txt"), b"a bird"), IMAGE_PART),
    with_form("no photo", 422, "image is missing", TEXT_PART),
    with_form("no text", 422, "text is required", IMAGE_PART),
    with_form("photo of no bytes", 422, "image is an empty file", TEXT_PART, (disposition(b"image", b"a.png"), b"")),
    with_form("photo in transfer encoding", 415, CONVERT, TEXT_PART, (disposition(b"image", b"a.png") + b"\r\nContent-Transfer-Encoding: base64", base64.b64encode(png()))),
    with_form("a field called as a path", 422, "../../x is not a field", TEXT_PART, IMAGE_PART, (disposition(b"../../x"), b"1")),
    with_form("count as words", 422, "count must be a whole number", TEXT_PART, IMAGE_PART, (disposition(b"count"), b"two")),
    with_form("a mask that is not wanted", 422, "mask is not a field", TEXT_PART, IMAGE_PART, (disposition(b"mask"), b"alpha")),
    with_form("charset punycode", 400, LIBRARY, (disposition(b"text"), b"\xff\xfe-\xff"), kind="multipart/form-data; boundary=b0undary; charset=punycode"),
    with_form("charset undefined", 400, LIBRARY, TEXT_PART, kind="multipart/form-data; boundary=b0undary; charset=undefined"),
    with_form("charset that does not exist", 202, "", TEXT_PART, IMAGE_PART, kind="multipart/form-data; boundary=b0undary; charset=x-bird"),
]  # fmt: skip

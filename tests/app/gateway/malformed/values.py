"""Photos as JSON values: base64, data URLs, addresses."""

# ruff: noqa: E501 (one line for each case)
from __future__ import annotations

from tests.app.gateway.malformed.requests import BROKEN, CONVERT, FORMS, as_base64, with_photo_value
from tests.picture_files import png

VALUES = [
    with_photo_value("image that is a number", 422, "image must be a file", 5),
    with_photo_value("image that is null", 422, "image is missing; send one: PNG, JPEG or WebP", None),
    with_photo_value("image that is empty", 422, "image is missing", ""),
    with_photo_value("image that is blank", 422, "image is missing", "  "),
    with_photo_value("image that is a list", 422, "image must be a file", [1, 2, 3, 4]),
    with_photo_value("image that is an object", 422, "image must be a file", {"url": "x"}),
    with_photo_value("base64 that is cut", 422, FORMS, as_base64(png())[:-3]),
    with_photo_value("base64 of too few bytes", 422, BROKEN, "iVBOR w0KGgo="),
    with_photo_value("base64 for addresses", 415, CONVERT, "_-_-"),
    with_photo_value("base64 of html", 415, CONVERT, as_base64(b"<html>")),
    with_photo_value("data URL of svg", 415, CONVERT, "data:image/svg+xml;base64," + as_base64(b"<svg/>")),
    with_photo_value("data URL that is not base64", 415, CONVERT, "data:image/png,%89PNG"),
    with_photo_value("data URL of html that is a picture", 202, "", "data:text/html;base64," + as_base64(png())),
    with_photo_value("data URL of a picture that is html", 415, CONVERT, "data:image/png;base64," + as_base64(b"<html>")),
    with_photo_value("data URL of nothing", 422, "image is an empty file", "data:image/png;base64,"),
    with_photo_value("data URL twice", 422, FORMS, "data:image/png;base64,data:image/png;base64,AAAA"),
    with_photo_value("address elsewhere", 422, "Download other pictures", "https://example.com/a.png"),
    with_photo_value("address of metadata", 422, "Download other pictures", "http://169.254.169.254/latest"),
    with_photo_value("file address", 422, FORMS, "file:///etc/passwd"),
    with_photo_value("path on the server", 422, "Download other pictures", "/etc/passwd"),
    with_photo_value("path that climbs", 422, "Download other pictures", "/jobs/../../etc/passwd/images/0"),
    with_photo_value("index of 5000 digits", 422, "Download other pictures", f"/jobs/{'0' * 32}/images/{'1' * 5000}"),
    with_photo_value("job id that is half a character", 422, "Download other pictures", "/jobs/\ud800/images/0"),
    with_photo_value("job id with a line break", 422, "Download other pictures", "/jobs/a\r\nDEL/images/0"),
    with_photo_value("half a character", 422, FORMS, "\ud800"),
]  # fmt: skip

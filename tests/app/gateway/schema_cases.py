"""Requests that follow the OpenAPI document and requests that don't, by schemathesis, against a
gateway on a loopback port; every answer is held against the document by all of its checks.
"""

from __future__ import annotations

import base64
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any, cast

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.core.failures import FailureGroup
from schemathesis.transport.serialization import Binary

from tests.picture_files import mask, png

NEGATIVE, POSITIVE = schemathesis.GenerationMode.NEGATIVE, schemathesis.GenerationMode.POSITIVE
_ROUNDS = 50  # of one way of making requests, when it keeps running out of new ones
_KNOWN_TO_SERVICE = ("bundle", "method", "model", "webhook", "batch")  # which of them there are
_BODIES = ("application/json", "multipart/form-data")
_NO_FILES = "Unsupported type: 'Binary'"  # a broken form with a file that schemathesis can't judge

# What no schema can say: which words and bundles are known, what a picture holds, where a webhook
# may lead, and that a job was erased a moment ago.
_REFUSED = [*("2xx", "401", "403", "404", "409", "410"), *("413", "415", "422")]
_GONE = ["2xx", "3xx", "401", "403", "404", "409", "410"]
_LIMITED = ["429"]  # open batches and logins are counted
_CONFIG = {
    "checks": {"positive_data_acceptance": {"expected-statuses": _GONE}},
    "operations": [
        {
            "include-name": f"POST /{task}",
            "checks": {"positive_data_acceptance": {"expected-statuses": _REFUSED}},
        }
        for task in ("synthesize", "manipulate", "inpaint")
    ]
    + [
        {
            "include-name": f"POST /{name}",
            "checks": {"positive_data_acceptance": {"expected-statuses": expected + _LIMITED}},
        }
        for name, expected in (("batches", _REFUSED), ("session", _GONE))
    ]
    + [
        {
            "include-name": f"POST /v1/images/{name}",  # says 400 where the others say 422
            "checks": {"positive_data_acceptance": {"expected-statuses": ["400", *_REFUSED]}},
        }
        for name in ("generations", "edits")
    ],
}

# Headers that may hold anything and must change nothing but the form of an answer.
_WORDS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Accept": st.one_of(st.sampled_from(["image/png", "image/*;q=x", "text/html"]), _WORDS),
        "Prefer": st.one_of(st.sampled_from(["wait=0.01", "wait=-1", "wait=9e99"]), _WORDS),
        "If-None-Match": _WORDS,
        "Last-Event-ID": st.one_of(st.sampled_from(["0-0", "1-1", "9" * 400]), _WORDS),
        "X-Forwarded-For": _WORDS,
        "User-Agent": _WORDS,
    },
)


def _sensible(body: dict[str, Any], form: bool) -> dict[str, Any]:
    """The same request, with words and pictures that the service can use."""
    made = {k: v for k, v in body.items() if k not in _KNOWN_TO_SERVICE}
    words = "prompt" if "prompt" in body else "text"
    made[words] = f"a red bird {body.get(words, '')}"[:1000]
    for name, data in (("image", png()), ("mask", mask())):
        if name in made:
            made[name] = Binary(data) if form else base64.b64encode(data).decode()
    return made


def _again(case: schemathesis.Case[Any], headers: dict[str, str]) -> str:
    """How to send the request once more."""
    try:
        return case.as_curl_command(headers=headers)[:2000]
    except ValueError:  # files have no curl command
        return f"headers {headers}, body {case.body!r}"[:2000]


@dataclass
class Tally:
    """What became of the requests of one operation."""

    statuses: Counter[int] = field(default_factory=Counter)
    findings: dict[str, str] = field(default_factory=dict)  # what was wrong → how to repeat it

    @property
    def cases(self) -> int:
        return self.statuses.total()


def makes_jobs(operation: schemathesis.APIOperation[Any, Any, Any, Any]) -> bool:
    return operation.label.startswith("POST /") and "{" not in operation.label


@contextmanager
def worked(url: str, key: str, finish: Callable[[str], None]) -> Iterator[None]:
    """Meanwhile ``finish`` is called with every new job, for requests that wait for its end."""
    over = threading.Event()

    def work() -> None:
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {key}"
            while not over.wait(0.02):
                page = session.get(f"{url}/jobs?status=queued&limit=100", timeout=30).json()
                for job in page["jobs"]:
                    finish(job["id"])

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Cases:
    """All operations of the gateway at ``url``. ``real``: path parameters of what exists, by
    operation, beside those that are made up.
    """

    def __init__(self, url: str, key: str, real: Mapping[str, Sequence[dict[str, str]]]) -> None:
        config = schemathesis.Config.from_dict(_CONFIG)
        self._schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
        self._auth, self._real = {"Authorization": f"Bearer {key}"}, real
        self._session = requests.Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def operations(self) -> Iterator[schemathesis.APIOperation[Any, Any, Any, Any]]:
        found: Any  # Ok or Err, which has no ok()
        for found in self._schema.get_all_operations():
            yield found.ok()

    def run(self, operation: schemathesis.APIOperation[Any, Any, Any, Any], count: int) -> Tally:
        """At least ``count`` requests, half of them against the schema where there is a way to."""
        tally = Tally()
        ways = [(mode, ids) for mode in (POSITIVE, NEGATIVE) for ids in self._ids(operation)]
        for number, (mode, ids) in enumerate(ways, 1):
            with suppress(Unsatisfiable):  # where there are no rules, none can be broken
                self._some(tally, operation, mode, ids, count * number // len(ways))
        self._some(tally, operation, POSITIVE, self._ids(operation)[0], count)
        return tally

    def _ids(self, operation: Any) -> list[dict[str, str] | None]:
        return [None, *self._real.get(operation.label, [])]

    def _some(
        self, tally: Tally, operation: Any, mode: Any, ids: dict[str, str] | None, until: int
    ) -> None:
        for number in range(_ROUNDS):
            wanted = until - tally.cases
            if wanted <= 0:
                return

            @seed(number)
            @settings(
                max_examples=wanted,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(mode, path_parameters=ids), extra=HEADERS)
            def send(case: schemathesis.Case[Any], extra: dict[str, str]) -> None:
                self._send(tally, case, extra)

            try:
                send()
            except ValueError as error:
                if _NO_FILES not in str(error):
                    raise

    def _send(self, tally: Tally, case: schemathesis.Case[Any], extra: dict[str, str]) -> None:
        headers = {**extra, **self._auth}
        positive = case.meta is not None and case.meta.generation.mode is POSITIVE
        described = positive and "/batches" not in case.path and case.media_type in _BODIES
        if described and tally.cases % 2:
            form = case.media_type != "application/json"
            body = cast("dict[str, Any]", case.body)
            made = _sensible(body, form)
            body.clear()  # in place: a body that is assigned is judged anew, and files can't be
            body.update(made)
        try:
            response = case.call(session=self._session, headers=headers)
            tally.statuses[response.status_code] += 1
            case.validate_response(
                response,
                headers=headers,
                transport_kwargs={"session": self._session, "headers": headers},
            )
        except FailureGroup as group:
            for failure in group.exceptions:
                what = f"{case.operation.label}: {failure.title}: {failure.message[:200]}"
                tally.findings.setdefault(what, _again(case, headers))
        except requests.RequestException as error:
            tally.statuses[0] += 1
            tally.findings.setdefault(
                f"{case.operation.label}: no answer: {type(error).__name__}", str(error)[:500]
            )

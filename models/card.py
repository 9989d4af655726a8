"""``CARD.md`` of a bundle: sections of imported methods, each under its method's name."""

from pathlib import Path

from models.bundle import Bundle

CARD = "CARD.md"
_HEAD = "\n## "


def read_section(folder: Path, head: str) -> str:
    """What the card says under ``## head``; nothing where it has no such section."""
    return next((body for name, body in _sections(folder) if name == head), "")


def put_section(bundle: Bundle, head: str, body: str) -> None:
    """Write a section in the place of an earlier one of its name; without ``body`` that one only
    goes. A card that is not there begins with what ``bundle.json`` says.
    """
    path = bundle.folder / CARD
    start = path.read_text(encoding="utf-8").split(_HEAD)[0] if path.exists() else _start(bundle)
    kept = [(name, text) for name, text in _sections(bundle.folder) if name != head]
    sections = [*kept, (head, body)] if body else kept
    texts = [start.rstrip(), *(f"## {name}\n{text.strip()}" for name, text in sections)]
    path.write_text("\n\n".join(texts) + "\n", encoding="utf-8")


def _sections(folder: Path) -> list[tuple[str, str]]:
    path = folder / CARD
    if not path.exists():
        return []
    parts = path.read_text(encoding="utf-8").split(_HEAD)[1:]
    return [(head.strip(), body) for head, _, body in (part.partition("\n") for part in parts)]


def _start(bundle: Bundle) -> str:
    """To be filled in."""
    said = {"Domain": bundle.domain, "Licence": str(bundle.raw.get("licence", ""))}
    lines = [f"{name}: {value}." for name, value in said.items() if value]
    tasks = [
        f"- `{name}`: {spec.method}, {spec.size}×{spec.size} pixels"
        + (f"; licence: {spec.licence}" if spec.licence else "")
        for name, spec in sorted(bundle.tasks.items())
    ]
    return "\n".join([f"# {bundle.name}", "", *lines, "", *tasks])

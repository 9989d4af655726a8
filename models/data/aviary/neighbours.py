"""What a hole hides of a drawn bird and no caption names: it continues what is beside it.

With a colour of its own such a part could not be inferred from anything in sight, and a network
that is asked for it all the same learns to paint the mean of all colours.
"""

from collections.abc import Collection

from models.data.aviary.drawing import PARTS, Array, Bird

# For each part the others, the nearest first.
_NEAREST = {
    "crown": ("back", "belly", "wings", "bill", "tail"),
    "back": ("wings", "crown", "belly", "tail", "bill"),
    "belly": ("back", "wings", "crown", "tail", "bill"),
    "wings": ("back", "tail", "belly", "crown", "bill"),
    "tail": ("wings", "back", "belly", "crown", "bill"),
    "bill": ("crown", "belly", "back", "wings", "tail"),
}
_VISIBLE_SHARE = 0.12  # share of a part that has to show for its colour to be seen
_LEAST = 4.0  # … and pixels


def continue_colours(
    sample: Bird, caption_parts: Collection[str], masks: Array, known_mask: Array
) -> Bird:
    """The bird whose parts that are neither seen nor ``caption_parts`` have the colour of the
    nearest part that is. masks: float32 [6,S,S], where each part shows; hole: float32 [S,S], 1 =
    known.
    """
    showing = (masks * known_mask).sum((1, 2))
    seen = (showing > _VISIBLE_SHARE * masks.sum((1, 2))) & (showing > _LEAST)
    known = {part for part, shows in zip(PARTS, seen, strict=True) if shows} | set(caption_parts)
    changes = {
        part: sample.colour_of(near)
        for part in PARTS
        if part not in known
        for near in [near for near in _NEAREST[part] if near in known][:1]
    }
    return sample.recolour(changes) if changes else sample

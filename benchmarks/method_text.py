"""The words of a comparison's page, and what is known of the questions that the project began with.
Paragraphs are wrapped where they are written.
"""

from __future__ import annotations

PUBLISHED_PICTURES = 600 * 8855  # of ManiGAN, TAGAN and SISGAN

COMMAND = """\
```sh (not run: takes hours)
python -m benchmarks.compare_methods --data {data} --pictures {pictures} --batch {batch} \\
    --samples {samples} --out comparison --ship
```"""
INTRODUCTION = """
Written by the command below. Stopped, it goes on; what is finished is not done again, so rows and
seeds can be added to the same `--out`.
"""
BUDGET = """
**Budget: each training sees {pictures:,} pictures of {size} pixels (with repeats, of {photos:,}
photos), which takes {fewest:.1f} to {most:.1f} minutes of wall time on {threads} thread(s); seeds
of each row: {seeds}.** ManiGAN, TAGAN and SISGAN were published after 600 epochs of 8,855 photos,
{times:,.0f} times as many. So the tables say how far a recipe comes in minutes, not which method is
better when it is trained to its end; they neither confirm nor refute a published number.
"""
SAME = """
The same for every row: frozen encoders (`weights/{encoders}`), split, number of pictures, moving
average, flips. A preset's warm-up is shortened where it would take more than a tenth of the run.
Losses, rates and widths are those of its preset for photos, which nobody has tuned for so short a
run. Efficient-T2I, ManiGAN and TDANet learn against discriminators on frozen ImageNet features
here, the others against theirs as published: rows compare whole recipes, not architectures alone,
and the judging networks know ImageNet, too.
"""
CELLS = """
A cell is the mean over seeds ± half of its 95 % interval: Student's t over seeds, and a bootstrap
over {samples} pictures of the split *validation* (of each kind of mask), taken as independent. A
verdict needs intervals that are apart; many are asked for at once, so one or the other may be
chance. ↑ more is better, ↓ less. † at up to 256 pixels and by other judges: of published columns
the order of rows can be compared, the numbers can't. IS, KID and FID: features of
EfficientNet-Lite2, not of Inception. `identity` leaves the photo or the hole as it was, `recolour`
shifts the whole photo to a colour of the caption, `real` is what was held out
([metrics](training.md#measuring-it), [methods](methods.md)).
"""
OUTLINES = """
Object masks are estimates: what GrabCut cuts out of the middle of a photo, as this copy of the data
has no segmentations (`benchmarks/object_masks.py`). Where it finds nothing, the photo is left out.
"""
# Beside each task's tables, and beside its sheet.
NOTES = {
    "synthesize": """
`blurred-8` are held-out photos at 8×8 pixels and back, in which nobody sees a bird: a KID no better
than theirs says that the pictures are no more like photos than such a blur.
""",
    "manipulate": """
MP = (1 − diff) · sim, and pictures that share nothing differ by little more than a recoloured
photo does: a row can lead MP that kept nothing of its photo. Read it beside diff and the sheet.
""",
    "inpaint": """
Whole pictures are measured, known pixels pasted: most of each number is the photo's own. A grey or
blurred fill pleases l1, PSNR and SSIM; whether a hole shows a bird, none of them tells.
""",
}
SHEETS = {
    "synthesize": "First seeds, not chosen; one caption a column, written for this project.",
    "manipulate": "First seeds, not chosen. No photo may be shown: the birds above were drawn by "
    "the bundle of the encoders, and each is edited by the caption of the next.",
    "inpaint": "First seeds, not chosen; birds as above, each with its own caption.",
}
ONE_SEED = """
**No verdict goes by rows of a single seed**, whose ± is that of pictures alone: another training
may differ by more than rows do.
"""

# The questions that the project began with.
QUESTIONS = (
    "**A stronger text encoder:** of GRU and LSTM, and of interpolated words, a linear layer reads "
    "the named colours equally well or nearly so on drawn birds ([log](log.md#modules-of-the-"
    "methods)). What any of them does to pictures: not measured; every row here has one and the "
    "same encoder.",
    "**Augmentation by COCO:** not measured; no row saw a photo of COCO. A short run on COCO alone "
    "is in [real-data.md](real-data.md).",
    "**Interpolation as augmentation:** `efficient-t2i-interpolated` beside `efficient-t2i` above. "
    "On drawn birds more named colours were right without it ([log](log.md#modules-of-the-"
    "methods)), one training each.",
    "**Dilated, gated, partial convolutions:** on drawn birds of 32 pixels no difference was seen "
    "([log](log.md#modules-of-the-methods)), one training each; on photos: not measured.",
)

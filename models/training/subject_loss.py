"""A generator's loss for pictures that show less of their subject than the photos do, as the frozen
ImageNet classifier EfficientNet-Lite0 sees both.

The classifier is the whole of what projected discriminators see the beginning of; the one that
evaluates is of another size (:mod:`models.evaluation.subject`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.damsm.efficientnet import EfficientNetLiteClassifier
from models.damsm.subject_head import classes_of
from models.errors import ModelsError

_SIDE = 96  # pixels at which the classifier looks
_LARGEST = 6.0  # log-odds beyond which the classifier is sure enough


class SubjectLoss(nn.Module):
    """0 for a picture whose subject is as clear as that of the photo with the same caption.

    domain: of the data set, "birds" or "flowers". Raises ModelsError for others.
    """

    classes: Tensor

    def __init__(self, domain: str) -> None:
        super().__init__()
        classes = classes_of(domain)
        if not classes:
            raise ModelsError(f"There is no subject for pictures of {domain!r}; set subject = 0.")
        self.classifier = EfficientNetLiteClassifier(0)
        mine = torch.zeros(1000, dtype=torch.bool)
        mine[list(classes)] = True
        self.register_buffer("classes", mine)

    def train(self, mode: bool = True) -> SubjectLoss:
        """The classifier stays in eval mode: its batch statistics are ImageNet's."""
        return self

    def forward(self, made: Tensor, photos: Tensor) -> Tensor:
        """Of pictures made and photos [B,3,S,S] in [-1,1], row by row of the same caption: by how
        much the log-odds of the subject are below the photo's, batch mean.
        """
        with torch.no_grad():
            wanted = self._log_odds(photos).clamp(max=_LARGEST)
        return functional.relu(wanted - self._log_odds(made)).mean()

    def _log_odds(self, pictures: Tensor) -> Tensor:
        """float32 [B]."""
        side = (_SIDE, _SIDE)
        x = functional.interpolate(pictures, side, mode="bilinear", align_corners=False)
        logits = self.classifier(x)[1].float()
        return logits[:, self.classes].logsumexp(1) - logits[:, ~self.classes].logsumexp(1)

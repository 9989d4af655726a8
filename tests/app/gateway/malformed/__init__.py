"""Uploads as nobody should send them, and what each is answered: the status, and words that say
what to do. Those with status 202 look wrong and are sound, or can be put right without asking.

The gateway's own tests use the list, and so does ``tests/chaos/fuzz.py``, against a real one.
"""

from tests.app.gateway.malformed.bodies import BODIES, MULTIPART
from tests.app.gateway.malformed.fields import FIELDS
from tests.app.gateway.malformed.masks import MASKS
from tests.app.gateway.malformed.photos import (
    BOMBS,
    CUT_OFF,
    DAMAGED,
    NO_PICTURES,
    ODD_BUT_SOUND,
    SIZES,
)
from tests.app.gateway.malformed.values import VALUES

UPLOADS = [
    *(*NO_PICTURES, *CUT_OFF, *DAMAGED, *SIZES, *BOMBS, *ODD_BUT_SOUND),
    *(*MASKS, *VALUES, *FIELDS, *BODIES, *MULTIPART),
]

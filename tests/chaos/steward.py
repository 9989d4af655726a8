"""``python -m tests.chaos.steward FOLDER``: the steward, by whatever clock it is given."""

from __future__ import annotations

from app.steward.__main__ import main
from tests.chaos.clocks import set_wrong

if __name__ == "__main__":
    set_wrong()
    main()

"""``python -m tests.chaos.reconciler FOLDER``: the reconciler, by whatever clock it is given."""

from __future__ import annotations

from app.reconciler.__main__ import main
from tests.chaos.clocks import set_wrong

if __name__ == "__main__":
    set_wrong()
    main()

"""All declared nodes, by class."""

from __future__ import annotations

from .conditioning import CONDITIONING
from .declaration import Declaration
from .loaders import LOADERS
from .pictures import PICTURES
from .sampling import SAMPLING
from .values import VALUES

DECLARED: dict[str, Declaration] = {
    each.name: each for each in (*LOADERS, *CONDITIONING, *SAMPLING, *PICTURES, *VALUES)
}

"""The kinds of jobs that the server takes."""

from __future__ import annotations

from ..jobs.built_in import BUILT_IN
from ..jobs.kinds import Kinds

KINDS = Kinds(BUILT_IN)

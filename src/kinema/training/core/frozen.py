"""What a training leaves alone, and the proof that it did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...sd.inflate import digest

Chosen = Callable[[str], bool]
"""Does a parameter of this name learn?"""


def everything(name: str) -> bool:
    return True


def leave(network: Any, trained: Chosen) -> None:
    """Only the parameters that `trained` names learn from now on."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(trained(name))


class Frozen:
    """For tasks that train a part of a network: `freeze` first, `proof` at the end."""

    def freeze(self, network: Any, trained: Chosen) -> None:
        """`leave`, and remember what the rest is."""
        leave(network, trained)
        self._rest = network, lambda name: not trained(name)
        self.before = digest(*self._rest)

    def proof(self) -> dict[str, str]:
        """Digests of the frozen layers before and after. RuntimeError where they changed."""
        now = digest(*self._rest)
        if now != self.before:
            raise RuntimeError("Layers that were to stay frozen have changed.")
        return {"frozen_before": self.before, "frozen_after": now}

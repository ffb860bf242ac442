"""Freezing of parameters, and a check that frozen parameters did not change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...sd.inflate import digest

Chosen = Callable[[str], bool]
"""Is the parameter of this name trainable?"""


def everything(name: str) -> bool:
    return True


def freeze_except(network: Any, trained: Chosen) -> None:
    """Freeze all parameters except those for which `trained` is true."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(trained(name))


class Frozen:
    """Base class of tasks that train a part of a network: call `freeze` first and `proof` at the end."""

    def freeze(self, network: Any, trained: Chosen) -> None:
        """Freeze all other parameters and store their digest."""
        freeze_except(network, trained)
        self._rest = network, lambda name: not trained(name)
        self.before = digest(*self._rest)

    def proof(self) -> dict[str, str]:
        """Return the digests of the frozen layers before and after training. Raises RuntimeError if they differ."""
        now = digest(*self._rest)
        if now != self.before:
            raise RuntimeError("Frozen layers changed during training.")
        return {"frozen_before": self.before, "frozen_after": now}

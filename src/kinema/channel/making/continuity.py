"""Shots that continue the last frames of the previous shot: which do, and how long those frames are stored."""

from __future__ import annotations

from dataclasses import dataclass

from .ledger import Ledger, PlannedShot


@dataclass(frozen=True)
class Link:
    """The relation of a shot to its neighbours. before: the id of the shot to continue; empty for a cut or match.
    why_cut: why the shot is generated as a cut instead. keeps: whether its last frames are stored for the next shot."""

    before: str = ""
    why_cut: str = ""
    keeps: bool = False


def link_of(ledger: Ledger, shot: PlannedShot, able: bool) -> Link:
    """The current link of a shot. able: whether the model can continue a clip."""
    keeps = able and awaited(ledger, shot.id)
    if not continues(shot):
        return Link(keeps=keeps)
    before = ledger.neighbour(shot.id, -1)
    if before is None:
        return Link("", "the previous shot is no longer in the ledger", keeps)
    why = ""
    if not able:
        why = "the model cannot continue a clip"
    elif before.state != "published":
        why = f"{before.id} was not published ({before.state})"
    return Link(before.id, why, keeps)


def continues(shot: PlannedShot) -> bool:
    """Whether a shot is written to continue the previous one."""
    return shot.shot.get("continuity") == "continue"


def awaited(ledger: Ledger, id: str) -> bool:
    """Whether the next shot continues this one and is not finished yet."""
    following = ledger.neighbour(id, 1)
    return following is not None and continues(following) and following.state in ("planned", "making")

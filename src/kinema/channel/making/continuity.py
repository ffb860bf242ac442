"""Shots that go on from the last frames of the shot before them: which ones do, and what is kept for them how long."""

from __future__ import annotations

from dataclasses import dataclass

from .ledger import Ledger, PlannedShot
from .work_files import TAIL, WorkFiles


@dataclass(frozen=True)
class Link:
    """How a shot hangs together with its neighbours. before: the id of the shot that it should go on from; empty where
    it is written as a cut or a match. why_cut: why it is made as a cut all the same. keeps: must its last frames be
    kept for the next shot?"""

    before: str = ""
    why_cut: str = ""
    keeps: bool = False


def link_of(ledger: Ledger, shot: PlannedShot, able: bool) -> Link:
    """A shot's link as things stand now. able: can the model go on from a clip?"""
    keeps = able and awaited(ledger, shot.id)
    if not goes_on(shot):
        return Link(keeps=keeps)
    before = ledger.neighbour(shot.id, -1)
    if before is None:
        return Link("", "the shot before it is not known any more", keeps)
    why = ""
    if not able:
        why = "the model cannot go on from a clip"
    elif before.state != "published":
        why = f"{before.id} was not published ({before.state})"
    return Link(before.id, why, keeps)


def goes_on(shot: PlannedShot) -> bool:
    """Is it written so that it goes on from the shot before it?"""
    return shot.shot.get("continuity") == "continue"


def awaited(ledger: Ledger, id: str) -> bool:
    """Is there a next shot, not over yet, that goes on from this one?"""
    following = ledger.neighbour(id, 1)
    return following is not None and goes_on(following) and following.state in ("planned", "making")


def sweep(ledger: Ledger, files: WorkFiles, token: str) -> list[str]:
    """Forget the last frames that nobody waits for any more, as after a ban; gives the ids of their shots."""
    forgotten = []
    for job_id in files.having(TAIL, f"{token}-"):
        id = job_id.removeprefix(f"{token}-")
        shot = ledger.get(id)
        state = shot.state if shot is not None else ""
        if state != "making" and not (state == "published" and awaited(ledger, id)):
            files.forget(job_id, TAIL)
            forgotten.append(id)
    return forgotten

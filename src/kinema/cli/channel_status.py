"""The status of a channel as text."""

from __future__ import annotations

from typing import Any


def status_lines(found: dict[str, Any]) -> list[str]:
    """Return the whole status, a fact per line."""
    library, producer = found["library"], {"doing": "starting", **found["producer"]}
    size = f"{library['bytes'] / 1e6:,.0f} MB"
    lines = [
        f"{found['title']}: {'running' if found['running'] else 'not running'}; {found['folder']}",
        f"now        {found['time'][11:16]}, {found['theme']!r}",
        f"on air     {_on_air(found)}",
        f"stock      {found['fresh']} new clips of this theme; {library['ready']} clips in all, {size}",
        f"producer   {producer['doing'] if producer['alive'] else 'not running'}",
    ]
    lines += [_begun(shot, producer["alive"]) for shot in producer.get("making", [])]
    lines += [f"worker     {each['id']} {each['doing']}" for each in producer.get("workers", []) if producer["alive"]]
    lines += [f"trouble    {producer[name]}" for name in ("trouble", "writer") if producer.get(name)]
    lines += [f"alarm      {alarm}" for alarm in (found["playout"] or {}).get("alarms", []) if found["running"]]
    lines += [f"set aside  {shot['id']}: {shot['reason']}" for shot in found["set_aside"]]
    return lines


def status_line(status: dict[str, Any]) -> str:
    """Return the status in one line."""
    producer = status["producer"]
    doing = producer.get("doing", "starting") if producer["alive"] else "not running"
    aside = f"; {status['shots']['aside']} set aside" if status["shots"]["aside"] else ""
    stock = f"{status['fresh']} new, {status['library']['ready']} clips"
    return f"on air: {_on_air(status)}; {stock}; producer: {doing}{aside}"


def _on_air(status: dict[str, Any]) -> str:
    if not status["running"] or status["on_air"] is None:
        return "nothing"
    facts = dict.fromkeys((status["on_air"]["id"], status["on_air"]["kind"]))
    return f"{status['on_air']['title']} ({', '.join(facts)})"


def _begun(shot: dict[str, Any], alive: bool) -> str:
    """Return the line of a shot in the making, which waits if the producer is not running."""
    facts = " ".join(part for part in (shot["id"], shot["step"], f"({shot['quality']})") if part)
    return f"making     {facts}" if alive else f"begun      {facts}"

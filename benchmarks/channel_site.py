"""Load of viewers on the site: each reads playlist, segments and now/next from a site process, as the page does.

    python benchmarks/channel_site.py [--viewers 1 20 100] [--seconds 20]

Prints for each number of viewers the site's CPU, number and latency of responses, and the CPU per viewer relative to
the first row. Run it on an idle machine; the viewers run in this process and use CPU too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "channel"))


async def viewer(
    client: httpx2.AsyncClient, wait_s: float, seconds: float, times: list[float], wrong: list[int]
) -> None:
    end = time.monotonic() + seconds

    async def get(path: str) -> str:
        began = time.perf_counter()
        answer = await client.get(path)
        times.append(time.perf_counter() - began)
        wrong[0] += answer.status_code != 200
        return answer.text if "m3u8" in path else ""

    await asyncio.sleep(wait_s)
    playlist = "/" + (await get("/live.m3u8")).splitlines()[-1]
    while time.monotonic() < end:
        began = time.monotonic()
        segments = re.findall(r"^s\d+\.ts.*$", await get(playlist), re.MULTILINE)
        await get("/on_air/" + segments[-1])
        await get("/api/now")
        await asyncio.sleep(max(0.0, 2.0 - (time.monotonic() - began)))


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--viewers", type=int, nargs="+", default=[1, 20, 100])
    reader.add_argument("--seconds", type=float, default=20.0)
    options = reader.parse_args()
    from on_air import fast_playout, fill

    with tempfile.TemporaryDirectory() as temp:
        file = Path(temp) / "channel.toml"
        file.write_text('[page]\nport = 0\n[database]\nurl = "sqlite"\n')
        fill(Path(temp) / "channel", 6)
        playout = fast_playout(Path(temp) / "channel")
        for _ in range(12):
            playout._air(playout.feed.take())
            playout.view.refresh()
        playout.close()
        for path in (Path(temp) / "channel" / "on_air").glob("*.ts"):
            path.write_bytes(os.urandom(250_000))  # 1 Mbit/s in segments of 2 s
        command = [sys.executable, "-m", "kinema.channel.web.site_process", str(file), "--port", "0"]
        site = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert site.stderr is not None
        base = next(found[1] for line in site.stderr if (found := re.search(r"page (http\S+)/", line)))
        process, first = psutil.Process(site.pid), None
        print(" viewers  answers  wrong  p50 ms  p95 ms    CPU     each  ratio")
        try:
            for num in options.viewers:
                times: list[float] = []
                wrong = [0]
                before, began = sum(process.cpu_times()[:2]), time.monotonic()
                asyncio.run(_all(num, base, options.seconds, times, wrong))
                cpu = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)
                first = first or cpu / num
                ordered = sorted(times)
                p50, p95 = (1000 * ordered[int(part * (len(ordered) - 1))] for part in (0.5, 0.95))
                print(
                    f"{num:>8} {len(times):>8} {wrong[0]:>6} {p50:>7.1f} {p95:>7.1f} {cpu:>6.1%} "
                    f"{cpu / num:>8.2%} {cpu / num / first:>6.2f}"
                )
            print(f"memory of the site: {process.memory_info().rss / 1e6:.0f} MB")
        finally:
            site.terminate()
            site.wait(20)


async def _all(num: int, base: str, seconds: float, times: list[float], wrong: list[int]) -> None:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(base_url=base, timeout=60, limits=limits) as client:
        await asyncio.gather(*(viewer(client, 2 * n / num, seconds, times, wrong) for n in range(num)))


if __name__ == "__main__":
    main()

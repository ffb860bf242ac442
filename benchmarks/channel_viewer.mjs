// A viewer: Chromium with hls.js. node channel_viewer.mjs URL_OF_PLAYLIST MODULES CHROMIUM; one line of JSON a second.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
const [playlist, modules, chromium] = process.argv.slice(2);
const require = createRequire(modules + "/");
const puppeteer = require("puppeteer-core");
const hls = readFileSync(modules + "/hls.js/dist/hls.min.js", "utf8");
const browser = await (puppeteer.default ?? puppeteer).launch({
  executablePath: chromium,
  args: ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required", "--mute-audio"],
});
const page = await browser.newPage();
await page.goto(new URL("/", playlist).href);
await page.setContent("<video id=v muted playsinline width=576 height=320></video>");
await page.addScriptTag({ content: hls });
await page.evaluate((url) => {
  const video = document.getElementById("v");
  window.seen = { waiting: 0, errors: [], fatal: 0, started: false };
  const player = new Hls();
  window.player = player;
  player.on(Hls.Events.ERROR, (_, data) => {
    window.seen.errors.push(data.details);
    if (data.fatal) { window.seen.fatal += 1; data.type === "mediaError" ? player.recoverMediaError() : player.startLoad(); }
  });
  video.addEventListener("waiting", () => { if (window.seen.started) window.seen.waiting += 1; });
  video.addEventListener("playing", () => { window.seen.started = true; });
  player.loadSource(url);
  player.attachMedia(video);
  video.play();
}, playlist);
process.on("SIGTERM", async () => { await browser.close(); process.exit(0); });
for (;;) {
  await new Promise((done) => setTimeout(done, 1000));
  const seen = await page.evaluate(() => {
    const video = document.getElementById("v");
    const quality = video.getVideoPlaybackQuality();
    return { time: video.currentTime, frames: quality.totalVideoFrames, dropped: quality.droppedVideoFrames,
      waiting: window.seen.waiting, fatal: window.seen.fatal, errors: window.seen.errors.slice(-3),
      latency: window.player.latency, date: window.player.playingDate?.toISOString() ?? null };
  });
  console.log(JSON.stringify(seen));
}

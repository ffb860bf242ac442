// The player's buttons, keyboard shortcuts and messages.

const $ = (id) => document.getElementById(id);
const IDLE_MS = 2600;
const MESSAGES = {
  tuning: "Tuning in\u2026",
  waiting: "Buffering\u2026",
  lost: "Connection lost. Reconnecting\u2026",
  blocked: "",
  unsupported: "This browser cannot play the stream. Open the stream address below in a video player.",
};

export function controls(player) {
  const screen = $("screen"), video = player.video;
  let idle = 0, waiting = 0, offAir = false;

  const stir = () => {
    screen.classList.remove("idle");
    clearTimeout(idle);
    idle = setTimeout(() => !video.paused && !screen.querySelector(":focus-visible") && screen.classList.add("idle"), IDLE_MS);
  };
  const show = (state) => {
    clearTimeout(waiting);
    const set = () => {
      screen.dataset.state = state;
      const off = offAir && state !== "playing" && state !== "paused";
      screen.classList.toggle("off", off);
      $("card-text").textContent = off ? "The channel is off air." : MESSAGES[state] ?? "";
      $("start").hidden = state !== "blocked";
    };
    if (state === "waiting" && !offAir) waiting = setTimeout(set, 700);  // no message for short interruptions
    else set();
  };
  const sound = () => {
    const isOff = video.muted || video.volume === 0;
    screen.classList.toggle("muted", isOff);
    $("mute").setAttribute("aria-label", isOff ? "Sound on" : "Sound off");
    $("unmute").hidden = !isOff || screen.classList.contains("heard");
    $("volume").value = video.muted ? 0 : video.volume;
  };
  const toggleSound = () => {
    video.muted = !video.muted;
    if (!video.muted && video.volume === 0) video.volume = 0.8;
    screen.classList.add("heard");
  };
  const togglePlay = () => (player.wanted && !video.paused ? player.pause() : player.play());
  const toggleFull = () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (screen.requestFullscreen) screen.requestFullscreen().catch(() => {});
    else video.webkitEnterFullscreen?.();
  };

  player.addEventListener("state", (event) => show(event.detail));
  for (const event of ["play", "pause"]) {
    video.addEventListener(event, () => {
      screen.classList.toggle("paused", video.paused);
      $("play").setAttribute("aria-label", video.paused ? "Play" : "Pause");
      stir();
    });
  }
  video.volume = 0.8;
  video.addEventListener("volumechange", sound);
  sound();
  video.addEventListener("loadedmetadata", () => {
    if (video.videoWidth) screen.style.setProperty("--shape", `${video.videoWidth} / ${video.videoHeight}`);
  });
  $("play").addEventListener("click", togglePlay);
  video.addEventListener("click", togglePlay);
  video.addEventListener("dblclick", toggleFull);
  $("start").addEventListener("click", () => player.play());
  $("unmute").addEventListener("click", () => {
    toggleSound();
    $("mute").focus({ preventScroll: true, focusVisible: false });
  });
  $("mute").addEventListener("click", toggleSound);
  $("volume").addEventListener("input", () => {
    video.volume = Number($("volume").value);
    video.muted = video.volume === 0;
    screen.classList.add("heard");
  });
  $("live").addEventListener("click", () => { player.toLive(); player.play(); });
  $("full").addEventListener("click", toggleFull);
  if (document.pictureInPictureEnabled) {
    $("pip").hidden = false;
    $("pip").addEventListener("click", () => {
      (document.pictureInPictureElement ? document.exitPictureInPicture() : video.requestPictureInPicture()).catch(() => {});
    });
  }
  for (const event of ["pointermove", "pointerdown", "focusin", "keydown"]) screen.addEventListener(event, stir);
  screen.addEventListener("pointerleave", () => !video.paused && screen.classList.add("idle"));

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
    if (event.key === " " && event.target.closest("button, a")) return;
    const does = { " ": togglePlay, k: togglePlay, m: toggleSound, f: toggleFull }[event.key.toLowerCase()];
    if (!does) return;
    event.preventDefault();
    does();
    stir();
  });
  setInterval(() => {
    const isBehind = player.behind > 8;
    $("live").classList.toggle("behind", isBehind);
    $("live").setAttribute("aria-label", isBehind ? "Go to live" : "Live");
  }, 1000);

  return {
    onAir(isOn) {
      offAir = !isOn;
      if (player.state !== "playing" && player.state !== "paused") show(player.state);
    },
  };
}

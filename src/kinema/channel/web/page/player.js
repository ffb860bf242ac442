// Plays the live stream and recovers from errors.

const SOURCE = "/live.m3u8";
const STUCK_MS = 12_000;
const LONGEST_PAUSE_MS = 15_000;

export class Player extends EventTarget {
  // Dispatches "state" events: tuning, playing, paused, waiting, blocked (autoplay needs a click), lost, unsupported.
  constructor(video) {
    super();
    this.video = video;
    this.hls = null;
    this.state = "tuning";
    this.failures = 0;
    this.moved = { at: performance.now(), time: -1 };
    this.wanted = true;
    this.isOnAir = () => true;
    for (const [event, state] of [["playing", "playing"], ["waiting", "waiting"]]) {
      video.addEventListener(event, () => this.wanted && this.setState(state));
    }
    video.addEventListener("pause", () => !this.wanted && this.setState("paused"));
    setInterval(() => this.watch(), 1000);
    document.addEventListener("visibilitychange", () => !document.hidden && this.wanted && this.play());
  }

  setState(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }

  start() {
    clearTimeout(this.again);
    this.hls?.destroy();
    this.hls = null;
    this.moved = { at: performance.now(), time: -1 };
    const Hls = globalThis.Hls;
    if (Hls?.isSupported()) {
      const hls = new Hls({
        enableWorker: false, liveSyncDurationCount: 3, liveMaxLatencyDurationCount: 9, liveDurationInfinity: true,
        maxBufferLength: 20, backBufferLength: 20,
      });
      this.hls = hls;
      let repaired = 0;
      hls.on(Hls.Events.ERROR, (_, error) => {
        if (!error.fatal || hls !== this.hls) return;
        if (error.type === Hls.ErrorTypes.MEDIA_ERROR && repaired++ < 2) hls.recoverMediaError();
        else if (error.type === Hls.ErrorTypes.NETWORK_ERROR && this.failures === 0 && hls.levels.length) {
          this.failures = 1;
          hls.startLoad();
        } else this.restart();
      });
      hls.on(Hls.Events.FRAG_BUFFERED, () => { this.failures = 0; });
      hls.on(Hls.Events.MANIFEST_PARSED, () => this.wanted && this.play());
      hls.attachMedia(this.video);
      hls.loadSource(SOURCE);
    } else if (this.video.canPlayType("application/vnd.apple.mpegurl")) {
      this.video.onerror = () => this.restart();
      this.video.src = SOURCE;
      if (this.wanted) this.play();
    } else {
      this.setState("unsupported");
    }
  }

  restart() {
    this.hls?.destroy();
    this.hls = null;
    this.setState(this.state === "tuning" ? "tuning" : "lost");
    const pause = Math.min(1000 * 2 ** this.failures++, LONGEST_PAUSE_MS);
    clearTimeout(this.again);
    this.again = setTimeout(() => this.start(), pause * (0.75 + Math.random() / 2));
  }

  watch() {
    // Restart if the picture is frozen while the channel is on air.
    const now = performance.now();
    const { currentTime, paused } = this.video;
    if (currentTime !== this.moved.time || paused || !this.wanted) this.moved = { at: now, time: currentTime };
    else if (now - this.moved.at > STUCK_MS && this.isOnAir()) this.restart();
  }

  async play() {
    this.wanted = true;
    if (this.behind > 30) this.toLive();
    try {
      await this.video.play();
    } catch (error) {
      if (error.name === "NotAllowedError") {
        if (this.video.muted) this.setState("blocked");
        else {
          this.video.muted = true;
          await this.play();
        }
      }
    }
  }

  pause() {
    this.wanted = false;
    this.video.pause();
  }

  get behind() {
    // Seconds behind the live position.
    if (this.hls?.liveSyncPosition) return this.hls.liveSyncPosition - this.video.currentTime;
    const { seekable } = this.video;
    return seekable.length ? seekable.end(seekable.length - 1) - 6 - this.video.currentTime : 0;
  }

  toLive() {
    if (this.hls?.liveSyncPosition) this.video.currentTime = this.hls.liveSyncPosition;
    else if (this.video.seekable.length) this.video.currentTime = this.video.seekable.end(this.video.seekable.length - 1) - 6;
  }

  get date() {
    // The date and time of the current picture, in seconds since 1970, or null.
    if (this.hls) return this.hls.playingDate ? this.hls.playingDate.getTime() / 1000 : null;
    const start = this.video.getStartDate?.();
    return start && !Number.isNaN(start.getTime()) ? start.getTime() / 1000 + this.video.currentTime : null;
  }
}

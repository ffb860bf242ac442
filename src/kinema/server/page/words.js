// Numbers and states in words.

const count = (number, one) => `${number} ${one}${number === 1 ? "" : "s"}`;

export function duration(seconds) {
  if (seconds < 0.95) return "less than a second";
  if (seconds < 90) return count(Math.round(seconds), "second");
  if (seconds < 90 * 60) return count(Math.round(seconds / 60), "minute");
  return count(Math.round(seconds / 3600), "hour");
}

/** short: for captions, "2.1 s". */
export const short = (seconds) => (seconds < 60 ? `${Number(seconds.toFixed(1))} s` : duration(seconds));

export function size(bytes) {
  if (bytes < 1000) return count(bytes, "byte");
  const [unit, over] = bytes < 1e6 ? ["kB", 1e3] : bytes < 1e9 ? ["MB", 1e6] : ["GB", 1e9];
  return `${Number((bytes / over).toPrecision(2))} ${unit}`;
}

export function ago(at, now = Date.now() / 1000) {
  const past = now - at;
  if (past < 45) return "just now";
  if (past < 90 * 60) return `${count(Math.max(1, Math.round(past / 60)), "minute")} ago`;
  if (past < 36 * 3600) return `${count(Math.round(past / 3600), "hour")} ago`;
  return new Date(at * 1000).toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });
}

export const isEnded = (job) => ["succeeded", "failed", "canceled", "expired"].includes(job.state);

const STAGES = {
  prepare: "Preparing", encode: "Encoding", start: "Loading the model", load: "Loading the model", plan: "Planning", read: "Reading the clip", follow: "Tracking the object",
  fill: "Filling from other frames", edit: "Editing", sample: "Sampling", decode: "Decoding", upscale: "Upscaling", write: "Writing the file",
};

/** What a job does now, in a few words. */
export function status(job) {
  const attempt = job.attempts > 1 && !isEnded(job) ? `, attempt ${job.attempts}` : "";
  if (job.state === "queued") {
    if (job.paused) return "Paused";
    const ahead = job.position ?? 0;
    return (ahead > 0 ? `Queued, ${ahead === 1 ? "1 job" : `${ahead} jobs`} before it` : "Queued, next in line") + attempt;
  }
  if (job.state === "running") {
    const { stage, step, steps, seconds_left: left } = job.progress ?? {};
    if (!stage && !steps) return `Starting${attempt}`;
    const doing = (STAGES[stage] ?? capital(stage || "working")) + (steps ? `, ${step} of ${steps}` : "");
    return `${doing}${left >= 1 ? `, about ${duration(left)} left` : ""}${attempt}`;
  }
  return { succeeded: "Done", failed: "Failed", canceling: "Canceling", canceled: "Canceled", expired: "Expired" }[job.state] ?? job.state;
}

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** The title of a job: its name, else its prompt. */
export function title(job) {
  const text = job.name || job.body?.prompt || "";
  return text || { clip: "A clip without a prompt" }[job.kind] || job.kind;
}

/** The part of the page's address that puts a job on the stage; and the id in it. */
export const address = (id) => (id ? `#job=${id}` : "");
export const idInAddress = () => (location.hash.startsWith("#job=") ? decodeURIComponent(location.hash.slice(5)) : "");

/** An element with properties, attributes (in `at`) and children. */
export function element(tag, { at = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(at)) if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Set a text only if it changes, so that screen readers do not repeat it. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

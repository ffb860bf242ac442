// The server's API: JSON, uploads by hash, files, event streams. With a token where the server requires one.

const TOKEN_KEY = "kinema-token", MAX_CLIPS = 60;
const clips = new Map();
let asking = null;
let askToken = async () => "";

/** An answer that is an error. status: 0 if the server cannot be reached. field, value, legal, nearest: as in RequestError. */
export class ApiError extends Error {
  constructor(status, body = {}) {
    super(body.error ?? (status ? `The server answered with status ${status}.` : "The server cannot be reached."));
    Object.assign(this, { status, field: body.field ?? "", value: body.value, legal: body.legal ?? "", nearest: body.nearest });
  }
}

/** ask(wasWrong) shows the dialog for the token and resolves with it. */
export function onTokenRequired(ask) {
  askToken = ask;
}

export function token() {
  try { return localStorage.getItem(TOKEN_KEY) ?? ""; } catch { return ""; }
}

function keepToken(value) {
  try { localStorage.setItem(TOKEN_KEY, value); } catch { /* storage is off */ }
}

/** fetch with the token. Asks for one after 401 and repeats the request. Raises ApiError for every other error. */
export async function call(path, { headers = {}, ...rest } = {}) {
  for (;;) {
    const used = token();
    let answer;
    try {
      answer = await fetch(path, { ...rest, headers: used ? { ...headers, authorization: `Bearer ${used}` } : headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0);
    }
    if (answer.ok) return answer;
    if (answer.status !== 401) throw new ApiError(answer.status, await answer.json().catch(() => ({})));
    if (token() !== used) continue;  // another request has asked meanwhile
    asking ??= askToken(used !== "").then(keepToken).finally(() => { asking = null; });
    await asking;
  }
}

export async function get(path, how) {
  return (await call(path, how)).json();
}

export async function post(path, body = {}, headers = {}, how = {}) {
  const answer = await call(path, {
    method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers }, ...how,
  });
  return answer.json().catch(() => ({}));
}

/** Store a file or blob by its hash; returns {media, bytes, media_type}. onShare: called with the share that is sent.
 *  (fetch reports no progress of what it sends.) */
export function upload(file, onShare = () => {}) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", "/media");
    sending.responseType = "json";
    sending.setRequestHeader("content-type", file.type || "application/octet-stream");
    if (token()) sending.setRequestHeader("authorization", `Bearer ${token()}`);
    sending.upload.onprogress = ({ loaded, total }) => onShare(total ? loaded / total : 0);
    sending.onload = () => (sending.status < 300 ? resolve(sending.response) : reject(new ApiError(sending.status, sending.response ?? {})));
    sending.onerror = () => reject(new ApiError(0));
    sending.send(file);
  });
}

export const mediaPath = (media) => `/media/${media.replace("sha256:", "")}`;

/** An address that <img> and <video> can show: the path itself, or with a token the file's content, since these elements
 *  cannot send one. Images become data: URLs, which the page's policy allows. */
export async function shown(path, isVideo) {
  if (!token()) return path;
  if (isVideo) return clipAddress(path);
  const blob = await (await call(path)).blob();
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** The content of a clip as a blob: URL; the last MAX_CLIPS are kept in memory. */
async function clipAddress(path) {
  const known = clips.get(path);
  clips.delete(path);
  clips.set(path, known ?? URL.createObjectURL(await (await call(path)).blob()));
  for (const [oldest, address] of clips) {
    if (clips.size <= MAX_CLIPS) break;
    URL.revokeObjectURL(address);
    clips.delete(oldest);
  }
  return clips.get(path);
}

/** The events of a job after number `after`, as they come: {number, kind, data}. Ends when the server ends the stream. */
export async function* events(id, after, signal) {
  const answer = await call(`/jobs/${encodeURIComponent(id)}/events`, {
    headers: { accept: "text/event-stream", "last-event-id": String(after) }, signal,
  });
  if (answer.status === 204) return;  // ended, and nothing is new
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", event = {};
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split(/\r\n|\n|\r/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (event.data !== undefined) yield { number: Number(event.id), kind: event.event, data: JSON.parse(event.data) };
        event = {};
        continue;
      }
      const at = line.indexOf(":");
      if (at === 0) continue;  // a heartbeat
      const [name, text] = at < 0 ? [line, ""] : [line.slice(0, at), line.slice(at + 1).replace(/^ /, "")];
      event[name] = name === "data" && event.data !== undefined ? `${event.data}\n${text}` : text;
    }
  }
}

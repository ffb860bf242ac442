// The home page: puts its parts together.

import { Actions } from "./actions.js";
import { onTokenRequired } from "./api.js";
import { Composer } from "./composer.js";
import { Draft } from "./draft.js";
import { Gallery } from "./gallery.js";
import { Jobs } from "./jobs.js";
import { Stage } from "./stage.js";
import { Viewer } from "./viewer.js";
import { address, idInAddress, put } from "./words.js";

const $ = (id) => document.getElementById(id);
const TOAST_MS = 6000, AGAIN_MS = 2000;
let toastTimer = 0;

const say = (text) => { $("said").textContent = text; };

function toast(text) {
  clearTimeout(toastTimer);
  $("toast").textContent = text;
  $("toast").hidden = false;
  say(text);
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, TOAST_MS);
}

function open(id) {
  if (idInAddress() === id) viewer.show(id);
  else location.hash = address(id);
  if (id) $("stage").scrollIntoView({ block: "nearest" });
}

onTokenRequired((wasWrong) => new Promise((resolve) => {
  put($("token-error"), wasWrong ? "The server refused this token." : "");
  $("token").showModal();
  $("token").addEventListener("close", () => {
    resolve($("token-field").value.trim());
    $("token-field").value = "";
  }, { once: true });
}));

const draft = new Draft(), jobs = new Jobs();
const stage = new Stage(draft, say);
const actions = new Actions(jobs, draft, stage, { say, toast, open });
const viewer = new Viewer(jobs, actions, stage, say);
new Gallery(jobs, actions);
const composer = new Composer(draft, stage, jobs, {
  say,
  onSubmitted: (job) => (job ? open(job.id) : toast("The server cannot be reached. The request is sent as soon as it answers.")),
});

jobs.addEventListener("connection", () => {
  $("server").dataset.state = jobs.isConnected && jobs.hasWorker ? "good" : "bad";
  put($("server-text"), !jobs.isConnected ? "No connection" : jobs.hasWorker ? "Connected" : "No worker takes jobs");
  if (!jobs.isConnected) say("The connection to the server is lost. Trying again.");
});
jobs.addEventListener("refused", (event) => toast(event.detail.message));
addEventListener("hashchange", () => viewer.show(idInAddress()));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();  // the address is that of the job on the stage
  $("prompt").focus();
});

document.addEventListener("keydown", (event) => {
  const isCommand = event.ctrlKey || event.metaKey, isField = event.target.closest("input, textarea, select");
  if (document.querySelector("dialog[open]")) return;
  if (isCommand && event.key === "Enter") {
    event.preventDefault();
    composer.submit();
  } else if (isCommand && event.key.toLowerCase() === "z" && !isField && draft.canUndo) {
    event.preventDefault();
    draft.undo();
  } else if (event.key === "Escape" && !stage.drawing.cancel()) {
    if (idInAddress()) open("");
    else document.activeElement.blur();
  }
});

async function loadModels() {
  try {
    await composer.loadModels();
  } catch {
    setTimeout(loadModels, AGAIN_MS);
  }
}

stage.render();
composer.render();
if (idInAddress()) viewer.show(idInAddress());
await Promise.all([jobs.start(), loadModels()]);
document.documentElement.dataset.ready = "true";

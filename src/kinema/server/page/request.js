// From the draft to a request (the same fields as a request file), and back.

import { inputKind, isPathed, VERBS } from "./verbs.js";

const GROWN = 0.1, CONTEXT_FRAMES = 5, SMALL_PX = 128;
const NO_GROW = [0, 0, 0, 0];

/** A number where the text is one; otherwise the text itself, which the server refuses with a reason. */
const numeric = (text) => (text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text.trim());

/** The request of a draft. card: the model. mask: the media of a painted mask, stored already. */
export function requestOf(draft, card, mask) {
  const verb = VERBS[draft.verb];
  const request = { ...draft.kept.fields };
  if (draft.prompt.trim()) request.prompt = draft.prompt.trim();
  if (draft.negative.trim()) request.negative_prompt = draft.negative.trim();
  if (card || draft.model) request.model = card?.id ?? draft.model;
  request.profile = draft.profile;
  for (const name of ["seed", "steps", "guidance"]) if (draft[name].trim()) request[name] = numeric(draft[name]);
  if (draft.size.trim()) request.size = draft.size.trim();
  if (draft.seconds.trim() && (!verb.isEdit || verb.isLonger)) request.seconds = numeric(draft.seconds);
  const upscale = upscaleOf(draft, card);
  if (upscale && !request.upscale) request.upscale = Number(upscale);
  if (verb.isEdit) request.canvas = "source";
  if (draft.verb === "remove" && !request.fill) request.fill = "auto";
  const conditions = [...inputConditions(draft, mask), ...draft.kept.conditions];
  if (isPathed(draft)) {
    const path = { kind: "trajectory", points: draft.path.map((point) => point.map(rounded)) };
    conditions.push(draft.object.trim() ? { ...path, object: draft.object.trim() } : path);
  }
  if (conditions.length) request.conditions = conditions;
  return request;
}

/** The upscale of a draft: the chosen one, and 4 times for models of tiny clips if none is chosen. */
export function upscaleOf(draft, card) {
  if (VERBS[draft.verb].isEdit) return "";
  if (draft.upscale !== null) return draft.upscale;
  const [size] = sizesOf(card);
  return size && Math.max(...size) <= SMALL_PX ? "4" : "";
}

/** The sizes that the model was trained on, as [width, height]; the first is its default. */
export function sizesOf(card) {
  const sizes = card?.sizes ?? card?.size?.trained ?? [];
  return (Array.isArray(sizes) ? sizes : sizes.trained ?? []).map((each) => (typeof each === "string" ? each.split("x").map(Number) : each));
}

function inputConditions(draft, mask) {
  const media = draft.input?.media;
  if (!media) return [];
  switch (draft.verb) {
    case "animate": return [{ kind: "image", image: media, at: "first" }];
    case "reference": return [{ kind: "reference", images: [media] }];
    case "extend": return [{ kind: "continue", clip: media, frames: CONTEXT_FRAMES, place: "start" }];
    case "remove": case "replace": return [{ kind: "source", video: media }, ...maskConditions(draft, mask)];
    default: return [];
  }
}

function maskConditions(draft, mask) {
  const { region, verb } = draft;
  if (!region) return [];
  const isTracked = inputKind(draft.input) === "clip" && (region.kind === "object" || draft.follow);
  const found = { kind: "mask", shape: verb === "remove" ? "original_expand" : isTracked ? "bbox_expand" : "original" };
  if (found.shape.endsWith("_expand")) found.ratio = GROWN;
  if (region.kind === "box") found.boxes = [region.box.map(rounded)];
  else if (region.kind === "object") found.click = region.point.map(rounded);
  else found.image = mask;
  if (isTracked && region.kind !== "object") found.follow = true;
  if (verb === "remove" && draft.shadow) found.shadow = true;
  return [found];
}

const rounded = (number) => Math.round(number * 10_000) / 10_000;

/** What keeps a draft from being planned at all, as [field, sentence]; null if nothing does. */
export function lacking(draft) {
  const verb = VERBS[draft.verb];
  if (!verb.optional && !draft.prompt.trim() && draft.verb !== "extend") return ["prompt", draft.verb === "replace" ? "Describe the replacement." : "Describe the clip."];
  if (verb.isMasked && !draft.region) return ["region", draft.verb === "remove" ? "Mark what to remove." : "Mark what to replace."];
  return null;
}

/** A draft that gives this request again. names: the files' names by media. What the page has no control for is kept. */
export function draftOf(request, names = {}) {
  const { prompt = "", negative_prompt: negative, model = "", profile = "balanced", seconds, size, width, height, seed, steps, guidance,
    upscale, canvas, fill, conditions = [], image, last, references, ...rest } = request;
  const all = [...conditions, ...(image ? [{ kind: "image", image, at: "first" }] : []), ...(last ? [{ kind: "image", image: last, at: "last" }] : []),
    ...(references?.length ? [{ kind: "reference", images: references }] : [])];
  const text = (value) => (value === undefined || value === null ? "" : String(value));
  const draft = {
    prompt, model, profile, negative: text(negative), seconds: text(seconds), seed: text(seed), steps: text(steps), guidance: text(guidance),
    size: size ?? (width ? `${width}x${height}` : ""), upscale: "",
    verb: "generate", input: null, region: null, path: [], object: "", shadow: false, kept: { fields: { ...rest }, conditions: [] },
  };
  readUpscale(draft, upscale);
  for (const condition of all) if (!readCondition(draft, condition, { canvas, fill, names })) draft.kept.conditions.push(condition);
  if (VERBS[draft.verb].isEdit ? canvas !== "source" : canvas && canvas !== "model") draft.kept.fields.canvas = canvas ?? "model";
  if (fill && fill !== (draft.verb === "remove" ? "auto" : "generate")) draft.kept.fields.fill = fill;
  return draft;
}

function readUpscale(draft, upscale) {
  const steps = upscale === undefined || upscale === null ? [] : [upscale].flat();
  const scale = ["auto", "lanczos"].includes(steps[0]?.by) ? steps[0].scale : steps[0];
  if (steps.length === 1 && [2, 4].includes(scale)) draft.upscale = String(scale);
  else if (steps.length) draft.kept.fields.upscale = upscale;
}

function readCondition(draft, condition, { canvas, fill, names }) {
  const take = (verb, media) => {
    if (draft.input || !String(media).startsWith("sha256:")) return false;
    Object.assign(draft, { verb, input: { media, name: names[media] ?? "file", type: "" } });
    return true;
  };
  switch (condition.kind) {
    case "image": return (condition.at ?? "first") === "first" && take("animate", condition.image);
    case "reference": return condition.images.length === 1 && take("reference", condition.images[0]);
    case "continue": return canvas === "source" && (condition.place ?? "start") === "start" && condition.frames === CONTEXT_FRAMES && take("extend", condition.clip);
    case "source": return canvas === "source" && String(condition.grow ?? NO_GROW) === String(NO_GROW) && take(fill && fill !== "generate" ? "remove" : "replace", condition.video);
    case "mask": return VERBS[draft.verb].isMasked && !draft.region && readMask(draft, condition);
    case "trajectory":
      if (draft.path.length || condition.times?.length || condition.color) return false;
      Object.assign(draft, { path: condition.points, object: condition.object ?? "" });
      return true;
    default: return false;
  }
}

function readMask(draft, { boxes = [], click, image, follow = false, shadow = false }) {
  if (boxes.length === 1) draft.region = { kind: "box", box: boxes[0] };
  else if (click) draft.region = { kind: "object", point: click };
  else if (image) draft.region = { kind: "brush", strokes: [], media: image };
  else return false;
  Object.assign(draft, { follow, shadow });
  return true;
}

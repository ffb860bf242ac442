// The verbs: what each takes, which tools it has, which models can do it.

/* takes: the kind of input. tools: on the stage, the first is preselected. needs(draft): features of the card, as in
   `accepts`. asks: the label of the prompt. isEdit: the clip keeps its own size and length. */
export const VERBS = {
  generate: { text: "Generate", takes: "", tools: ["path"], needs: () => [], asks: "Prompt", example: "a red ball rolls left over a green hill at sunset" },
  animate: { text: "Animate", takes: "picture", tools: ["path"], needs: () => ["image:first"], asks: "What happens (optional)", example: "a red car drives left in a meadow by day", optional: true },
  reference: { text: "Use as reference", takes: "picture", tools: ["path"], needs: () => ["reference"], asks: "Prompt", example: "a yellow star at sea by day" },
  remove: { text: "Remove", takes: "both", tools: ["box", "brush", "object"], needs: () => ["source", "mask"], asks: "Background (optional)", example: "a desert by day", optional: true, isEdit: true, isMasked: true },
  replace: { text: "Replace", takes: "both", tools: ["box", "brush", "object"], needs: () => ["source", "mask"], asks: "Replacement", example: "a green car", isEdit: true, isMasked: true },
  extend: { text: "Extend", takes: "clip", tools: [], needs: () => ["continue"], asks: "What happens next (optional)", example: "a red car in the desert", optional: true, isEdit: true, isLonger: true },
};

export const TOOLS = {
  box: { text: "Box", hint: "Draw a box around the object. Arrow keys move it, with Shift they resize it." },
  brush: { text: "Brush", hint: "Paint over what should change." },
  object: { text: "Object", hint: "Click on the object in the first frame; it is tracked through the clip." },
  path: { text: "Path", hint: "Drag along the path of the object, or click point by point. Arrow keys move a selected point." },
};

export const inputKind = (input) => (!input ? "" : input.type.startsWith("image/") && input.type !== "image/gif" ? "picture" : "clip");

export const isPathed = (draft) => VERBS[draft.verb].tools.includes("path") && draft.path.length >= 2;

/** Features that the draft requires of a model. */
export function needed(draft) {
  const kept = draft.kept.conditions.map(feature);
  return [...VERBS[draft.verb].needs(draft), ...(isPathed(draft) ? ["trajectory"] : []), ...kept];
}

/** The name of a condition in a card's `accepts`. */
export function feature(condition) {
  const { kind, at = "first", control, place } = condition;
  if (kind === "image") return `image:${typeof at === "string" ? at : "frame"}`;
  if (kind === "control") return `control:${control}`;
  return kind === "continue" && place === "end" ? "continue:end" : kind;
}

const FEATURES = {
  "image:first": "first frame", "image:last": "last frame", "image:frame": "keyframe", reference: "reference image", source: "clip as input", mask: "mask",
  trajectory: "drawn path", continue: "extension", "continue:end": "extension at the start",
};
const inWords = (name) => FEATURES[name] ?? name.replace(":", " ");

/** Why a model cannot do it; "" if it can. */
export function obstacle(card, features) {
  const missing = features.find((each) => !card.accepts.includes(each));
  if (missing) return `no ${inWords(missing)}`;
  const lacking = (card.needs ?? []).find((each) => !features.includes(each));
  return lacking ? `requires a ${inWords(lacking)}` : "";
}

/** Verbs for this input that a model here can do. */
export function verbsFor(input, cards) {
  const kind = inputKind(input);
  return Object.keys(VERBS).filter((name) => {
    const { takes, needs } = VERBS[name];
    if (kind === "" ? takes !== "" : takes !== kind && takes !== "both") return false;
    return cards.length === 0 || cards.some((card) => obstacle(card, needs()) === "" || name === "generate");
  });
}

/** The model that the draft uses: the chosen one; else the first that can do it. A picture without a prompt goes to a
 *  model that requires a picture, if there is one. */
export function cardFor(draft, cards) {
  if (draft.model) return cards.find((card) => card.id === draft.model) ?? null;
  const able = cards.filter((card) => obstacle(card, needed(draft)) === "");
  const wordless = draft.verb === "animate" && !draft.prompt.trim() && able.find((card) => card.needs?.includes("image:first"));
  return wordless || (able[0] ?? null);
}

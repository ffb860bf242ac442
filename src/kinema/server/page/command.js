// The command line that makes the same clip.

const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** {text, note} for a request. names: files by media. origin: the server's address, for masks painted on the page. */
export function commandOf(request, names, origin) {
  const { prompt = "", conditions = [], canvas = "model", fill = "generate" } = request;
  const files = Object.values(names);
  const note = files.length ? `Run it in the folder of ${files.map((name) => quoted(name)).join(", ")}.` : "";
  const words = edited(request, names, origin) ?? generated(request, names);
  if (words) return { text: [...words.before, ["kinema", ...words.command, ...settings(request)].join(" ")].join("\n"), note };
  const plain = JSON.parse(JSON.stringify({ ...request, prompt, conditions, canvas, fill }), (_, value) => names[value] ?? value);
  return { text: `kinema generate --request - <<'END'\n${JSON.stringify(plain, null, 2)}\nEND`, note };
}

function settings({ model, profile, size, width, height, seconds, frames, fps, seed, steps, guidance, negative_prompt: negative, upscale, options }) {
  const found = [];
  const add = (name, value) => value !== undefined && value !== null && found.push(name, quoted(String(value)));
  add("--model", model);
  add("--profile", profile);
  add("--size", size ?? (width ? `${width}x${height}` : undefined));
  add("--seconds", seconds);
  add("--frames", frames);
  add("--fps", fps);
  add("--seed", seed);
  add("--steps", steps);
  add("--guidance", guidance);
  add("--negative", negative);
  for (const step of upscale === undefined || upscale === null ? [] : [upscale].flat()) {
    add("--upscale", typeof step !== "object" ? step : step.by === "auto" ? step.scale : step.scale ? `${step.by}:${step.scale}` : step.by);
  }
  for (const [name, value] of Object.entries(options ?? {})) add("--set", `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return found;
}

function generated({ prompt = "", conditions = [], canvas = "model", fill = "generate" }, names) {
  if (canvas !== "model" || fill !== "generate") return null;
  const before = [], found = [];
  let paths = 0;
  for (const { kind, ...given } of conditions) {
    if (kind === "image" && (given.at ?? "first") === "first") found.push("--image", fileOf(given.image, names));
    else if (kind === "image" && given.at === "last") found.push("--last", fileOf(given.image, names));
    else if (kind === "reference") for (const image of given.images) found.push("--reference", fileOf(image, names));
    else if (kind === "style") found.push("--style", quoted(`${given.adapter}:${given.weight ?? 1}`));
    else if (kind === "trajectory") {
      const file = paths++ ? `path-${paths}.json` : "path.json";
      const { points, times, object, color } = given;
      const path = { points, ...(times?.length ? { times } : {}), ...(object ? { object } : {}), ...(color ? { color } : {}) };
      before.push(`echo ${quoted(JSON.stringify(path))} > ${file}`);
      found.push("--trajectory", file);
    } else return null;
  }
  return { before, command: ["generate", quoted(prompt), ...found] };
}

function edited({ prompt = "", conditions = [], canvas, fill = "generate" }, names, origin) {
  if (canvas !== "source") return null;
  const [first, mask] = conditions;
  if (conditions.length === 1 && first.kind === "continue") {
    const known = first.frames === 5 ? [] : ["--known", String(first.frames ?? 5)];
    return { before: [], command: ["extend", fileOf(first.clip, names), quoted(prompt), ...known, ...(first.place === "end" ? ["--before"] : [])] };
  }
  if (conditions.length !== 2 || first.kind !== "source" || mask.kind !== "mask" || first.grow?.some(Boolean)) return null;
  const before = [], region = [];
  if (mask.boxes?.length === 1) {
    const [left, top, right, bottom] = mask.boxes[0];
    region.push("--box", [left, top, right - left, bottom - top].map((part) => Number(part.toFixed(4))).join(","));
  } else if (mask.click) region.push("--click", mask.click.join(","));
  else if (mask.object) region.push("--object", quoted(mask.object));
  else if (mask.image) {
    if (!names[mask.image]) before.push(`curl -so mask.png ${origin}/media/${mask.image.replace("sha256:", "")}`);
    region.push("--mask", names[mask.image] ? fileOf(mask.image, names) : "mask.png");
  } else return null;
  if (mask.follow) region.push("--follow");
  if (mask.shape) region.push("--shape", mask.shape);
  if (mask.shape?.endsWith("_expand")) region.push("--ratio", String(mask.ratio ?? 0.3));
  if (mask.tracker && mask.tracker !== "auto") region.push("--tracker", mask.tracker);
  const verb = fill === "generate" ? "edit" : "remove";
  if (mask.shadow && verb === "remove") region.push("--shadow");
  return { before, command: [verb, fileOf(first.video, names), quoted(prompt), ...region, ...(fill === "auto" || verb === "edit" ? [] : ["--fill", fill])] };
}

const fileOf = (media, names) => quoted(names[media] ?? media);

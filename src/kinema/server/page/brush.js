// Painted masks: strokes in fractions of the frame, drawn for the eye and as the mask picture that is stored.

import { mediaPath, shown, upload } from "./api.js";

const MAX_PX = 1536;
const stored = new Map();  // strokes as text -> media, so that a mask is sent once
const bases = new Map();  // media -> a canvas with the mask in its alpha

/** Draw a region's strokes, white where it is masked. Widths are fractions of the picture's width. */
export function paint(canvas, { strokes, media }) {
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (media && bases.has(media)) pen.drawImage(bases.get(media), 0, 0, canvas.width, canvas.height);
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = pen.fillStyle = "#fff";
  for (const { points, width, erases } of strokes) {
    pen.globalCompositeOperation = erases ? "destination-out" : "source-over";
    pen.lineWidth = width * canvas.width;
    pen.beginPath();
    points.forEach(([x, y], index) => pen[index ? "lineTo" : "moveTo"](x * canvas.width, y * canvas.height));
    if (points.length === 1) pen.lineTo(points[0][0] * canvas.width + 0.01, points[0][1] * canvas.height);
    pen.stroke();
  }
  pen.globalCompositeOperation = "source-over";
}

/** Load the picture of a stored mask, which further strokes are drawn over. */
export async function loadBase(media) {
  if (bases.has(media)) return;
  const image = new Image();
  image.src = await shown(mediaPath(media), false);
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < pixels.data.length; at += 4) {
    pixels.data[at + 3] = pixels.data[at];
    pixels.data.fill(255, at, at + 3);
  }
  pen.putImageData(pixels, 0, 0);
  bases.set(media, canvas);
}

/** Store the mask of a painted region: white on black, in the input's own size; returns its media. */
export async function storeMask(region, input) {
  if (region.strokes.length === 0 && region.media) return region.media;
  const key = JSON.stringify([region, input.media]);
  if (stored.has(key)) return stored.get(key);
  if (region.media) await loadBase(region.media);
  const scale = Math.min(1, MAX_PX / Math.max(input.width, input.height));
  const [width, height] = [input.width, input.height].map((side) => Math.max(1, Math.round(side * scale)));
  const strokes = Object.assign(document.createElement("canvas"), { width, height });
  paint(strokes, region);
  const mask = Object.assign(document.createElement("canvas"), { width, height });
  const pen = mask.getContext("2d");
  pen.fillRect(0, 0, width, height);
  pen.drawImage(strokes, 0, 0);
  const { media } = await upload(await new Promise((resolve) => mask.toBlob(resolve, "image/png")));
  stored.set(key, media);
  return media;
}

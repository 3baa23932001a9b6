/* One answer as a card: pictures, classes as bars, where the time went. */
import { h } from "./dom.js";

const STAGES = ["read", "decode", "queue", "inference"];
const SMALL = 64; // pixels: below that, an image is shown with its pixels

export function percent(share) {
  if (share > 0.9995 && share < 1) return "> 99.9%";
  if (share > 0 && share < 0.0005) return "< 0.1%";
  return `${(share * 100).toFixed(1)}%`;
}

export function card(file) {
  const said = h("div", { className: "said" }, h("p", { className: "wait" }, "Looking…"));
  const pictures = h("div", { className: "pictures" });
  const element = h("article", { className: "answer card", ariaBusy: "true" }, pictures, said);
  const address = URL.createObjectURL(file);
  const shown = h("img", { src: address, alt: file.name || "the image" });
  const original = h("figure", {}, h("div", { className: "frame" }, shown), h("figcaption", {}, file.name || "pasted image"));
  shown.addEventListener("load", () => {
    if (Math.max(shown.naturalWidth, shown.naturalHeight) <= SMALL) shown.className = "small";
  });
  shown.addEventListener("error", () => shown.replaceWith(h("span", { className: "quiet" }, "no preview")));
  pictures.append(original);
  return { element, said, pictures };
}

export function showPixels(pictures, blob) {
  const image = h("img", { className: "pixels", src: URL.createObjectURL(blob), alt: "The pixels that the network saw" });
  const caption = h("figcaption", {}, "what the network saw");
  image.addEventListener("load", () => (caption.textContent = `what the network saw: ${image.naturalWidth} × ${image.naturalHeight}`));
  pictures.append(h("figure", {}, h("div", { className: "frame" }, image), caption));
}

export function showPredictions({ element, said }, answer, timing, total) {
  const best = answer.predictions[0];
  const abstained = answer.abstained === true;
  element.classList.toggle("abstained", abstained);
  const { name, version, precision } = answer.model;
  said.replaceChildren(
    h("div", { className: "head" },
      h("span", { className: "label" }, abstained ? "Not sure enough to say" : best.label),
      h("span", { className: "sure" }, abstained ? `perhaps ${best.label}, ${percent(best.probability)}` : percent(best.probability)),
      h("span", { className: "by" }, `${name} version ${version}, ${precision}`)),
    bars(answer.predictions),
    times(timing, total));
}

export function showFault({ said }, fault) {
  said.replaceChildren(h("p", { className: "fault" }, fault.message, fault.detail ? h("small", {}, fault.detail) : null));
}

function bars(predictions) {
  return h("ol", { className: "bars" }, predictions.map(({ label, probability }) => {
    const fill = h("div", { className: "fill" });
    requestAnimationFrame(() => requestAnimationFrame(() => (fill.style.width = `${probability * 100}%`)));
    return h("li", {}, h("span", { className: "name", title: label }, label), h("span", { className: "track", ariaHidden: "true" }, fill),
      h("span", { className: "number" }, percent(probability)));
  }));
}

/* Stages from Server-Timing, in milliseconds; the total is the browser's, network included. */
function times(timing, total) {
  const stages = STAGES.map((name) => [name, Number(new RegExp(`${name};dur=([\\d.]+)`).exec(timing)?.[1] ?? 0)]);
  const spent = stages.reduce((sum, [, took]) => sum + took, 0);
  const stack = h("div", { className: "stack", ariaHidden: "true" }, stages.map(([name, took]) => {
    const part = h("i", { className: name });
    part.style.flexGrow = (100 * took) / (spent || 1); // shares that add up to less than 1 leave room
    return part;
  }));
  return h("div", { className: "times" },
    h("h3", {}, `${spent.toFixed(2)} ms in the service, ${total.toFixed(0)} ms from here and back`), stack,
    h("ul", { className: "legend" }, stages.map(([name, took]) => h("li", {}, h("i", { className: name }), `${name} ${took.toFixed(2)} ms`))));
}

/* Images in, cards out. Every request goes to where this page came from. */
import { card, percent, showFault, showPixels, showPredictions } from "./answer.js";
import { authorized, keyField } from "./dom.js";
import { Fault, UNREACHABLE, faultOf } from "./words.js";

const MOST_CARDS = 50;
const AT_ONCE = 4; // requests: a folder of images is no reason to push others out of the queue
const at = (id) => document.getElementById(id);
let models = [];
let running = 0;
const waiting = [];

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: authorized(options.headers) });
  } catch (error) {
    throw new Fault(UNREACHABLE, error.message);
  }
  if (!answer.ok) throw await faultOf(answer);
  return answer;
}

function target(path, more = {}) {
  const query = new URLSearchParams(more);
  if (at("model").value) query.set("model", at("model").value);
  if (at("version").value) query.set("version", at("version").value);
  return query.size ? `${path}?${query}` : path;
}

async function loadModels() {
  try {
    models = (await (await ask("v1/models")).json()).models.filter((model) => model.state === "READY");
    at("fault").hidden = true;
  } catch (fault) {
    models = [];
    tell(fault);
  }
  at("model").replaceChildren(...models.map((model) => new Option(model.name)));
  at("model").disabled = models.length < 2;
  showVersions();
}

/* Abstaining is offered where this service can do it, as its own document says. */
async function offerAbstaining() {
  const api = await (await ask("openapi.json")).json();
  const { parameters } = api.paths["/v1/classify"].post;
  at("abstaining").hidden = !parameters.some(({ name }) => name === "threshold");
}

function showVersions() {
  const model = models.find(({ name }) => name === at("model").value);
  const ready = (model?.versions ?? []).filter(({ state }) => state === "READY");
  const others = ready.map(({ version, roles = [] }) => new Option([version, ...roles].join(", "), version));
  at("version").replaceChildren(...(model ? [new Option(`active (${model.version})`, "")] : []), ...others);
  at("version").disabled = ready.length < 2;
  const right = model?.quality ? `, ${percent(model.quality.top1)} right on ${model.quality.images.toLocaleString("en")} test images` : "";
  at("about").textContent = model ? `${model.name}: ${model.classes} classes${right}. Runs on ${model.provider}.` : "";
}

function tell(fault) {
  at("fault").textContent = [fault.message, fault.detail].filter(Boolean).join(" ");
  at("fault").hidden = false;
  if (fault.code === "unauthorized") at("access").open = true;
}

function take(files) {
  at("fault").hidden = true;
  const images = [...files];
  if (!images.length) return;
  at("empty").hidden = true;
  for (const file of images) {
    const made = card(file);
    at("answers").prepend(made.element);
    waiting.push([file, made]);
  }
  while (at("answers").children.length > MOST_CARDS) at("answers").lastChild.remove();
  next();
}

function next() {
  while (running < AT_ONCE && waiting.length) {
    running += 1;
    classify(...waiting.shift()).finally(() => {
      running -= 1;
      next();
    });
  }
}

async function classify(file, made) {
  const threshold = Number(at("threshold").value);
  const began = performance.now();
  try {
    // read first: a folder that was dropped, or a file that has gone, fails here
    const body = await file.arrayBuffer().catch((error) => {
      throw new Fault("This file cannot be read.", error.message);
    });
    const options = { method: "POST", body, headers: { "Content-Type": "application/octet-stream" } };
    const answer = await ask(target("v1/classify", threshold > 0 ? { threshold } : {}), options);
    const timing = answer.headers.get("server-timing") ?? "";
    const said = await answer.json();
    showPredictions(made, said, timing, performance.now() - began);
    at("spoken").textContent = `${file.name}: ${said.abstained ? "not sure enough to say" : said.predictions[0].label}`;
    const { name, version } = said.model; // of this very version: the next request may go to another
    const seen = await ask(`v1/preprocess?${new URLSearchParams({ model: name, version })}`, options);
    showPixels(made.pictures, await seen.blob());
  } catch (fault) {
    showFault(made, fault);
    at("spoken").textContent = `${file.name}: ${fault.message}`;
    if (fault.code === "unauthorized") tell(fault);
  } finally {
    made.element.removeAttribute("aria-busy");
  }
}

function start() {
  const key = keyField();
  key.setAttribute("aria-label", "API key");
  key.addEventListener("change", loadModels);
  at("keyplace").append(key);
  at("model").addEventListener("change", showVersions);
  at("threshold").addEventListener("input", (event) => (at("sure").textContent = `${Math.round(event.target.value * 100)}%`));
  at("files").addEventListener("change", (event) => {
    take(event.target.files);
    event.target.value = ""; // the same file again is a change too
  });
  document.addEventListener("paste", (event) => take(event.clipboardData?.files ?? []));
  // anywhere on the page: who misses the field by a little must not be shown the file instead of the page
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) at("drop").classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    at("drop").classList.remove("over");
    take(event.dataTransfer.files);
  });
  loadModels();
  offerAbstaining().catch(tell);
}

start();

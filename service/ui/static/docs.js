/* Renders openapi.json and sends what is filled in. */
import { authorized, h, keyField, prose } from "./dom.js";
import { define, example, tree, typeOf } from "./schema.js";

const TEXTUAL = /json|text|xml|javascript/;
let server = "";

async function start() {
  const state = document.getElementById("state");
  try {
    const api = await (await fetch("openapi.json")).json();
    define(api.components.schemas);
    // the page lies beside the API, whatever prefix a proxy gives both
    server = new URL(".", document.baseURI).pathname.replace(/\/$/, "");
    document.getElementById("version").textContent = api.info.version;
    render(api);
    state.remove();
  } catch (error) {
    state.className = "fault";
    state.textContent = `openapi.json could not be loaded: ${error.message}`;
  }
  document.getElementById("operations").removeAttribute("aria-busy");
}

function render(api) {
  const main = document.getElementById("operations");
  const contents = document.getElementById("contents");
  main.append(
    h("div", { className: "card intro" }, h("h1", {}, api.info.title), prose(api.info.description),
      h("div", {}, h("label", { htmlFor: "key" }, "API key"), keyField())));
  for (const tag of api.tags) {
    const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
      Object.entries(methods).filter(([, one]) => one.tags.includes(tag.name)).map(([method, one]) => [path, method, one]));
    if (!operations.length) continue;
    contents.append(h("h2", {}, tag.name),
      ...operations.map(([path, , one]) => h("a", { href: `#${one.operationId}`, title: path, onclick: () => open(one.operationId) }, one.summary)));
    main.append(h("section", {}, h("h2", {}, tag.name), h("p", {}, tag.description), operations.map((one) => card(...one))));
  }
  if (location.hash) open(location.hash.slice(1));
}

function open(id) {
  const target = document.getElementById(id);
  if (target) target.open = true;
}

function card(path, method, operation) {
  const details = h("details", { className: "card op", id: operation.operationId },
    h("summary", {},
      h("span", { className: `method ${method}` }, method.toUpperCase()),
      h("span", { className: "path" }, path),
      h("span", { className: "quiet" }, operation.summary),
      operation["x-role"] ? h("span", { className: "role" }, operation["x-role"]) : null));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(inside(path, method, operation));
  });
  return details;
}

function inside(path, method, operation) {
  const form = h("form", {}, h("h3", {}, "Try it"));
  const inputs = operation.parameters.map((one) => [one, field(operation.operationId, one)]);
  form.append(h("div", { className: "fields" }, inputs.map(([, parts]) => parts.shown)));
  const body = operation.requestBody ? bodyFields(operation) : null;
  if (body) form.append(body.shown);
  const answer = h("div", { className: "answer", ariaLive: "polite" });
  const button = h("button", {}, "Send");
  form.append(h("div", { className: "send" }, button), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    answer.replaceChildren(...(await send(path, method, inputs, body)));
    button.disabled = false;
  });
  return h("div", { className: "inside" }, operation.description ? prose(operation.description) : null, form,
    h("div", {}, h("h3", {}, "Answers"), h("div", { className: "responses" },
      Object.entries(operation.responses).map(([status, one]) => response(status, one)))));
}

function response(status, one) {
  const content = Object.entries(one.content ?? {});
  const shapes = content.filter(([, media]) => !status.startsWith("4") && !status.startsWith("5") && tree(media.schema));
  return h("div", {}, h("strong", {}, status), h("div", {}, prose(one.description),
    shapes.map(([type, media]) => h("details", { className: "more" }, h("summary", {}, type), tree(media.schema)))));
}

function field(id, one) {
  const name = `${id}-${one.name}`;
  const input = one.schema.enum
    ? h("select", { id: name }, h("option", { value: "" }, "–"), one.schema.enum.map((value) => h("option", {}, String(value))))
    : h("input", { id: name, required: one.required, placeholder: one.schema.default !== undefined ? String(one.schema.default) : "" });
  return { input, shown: h("div", {}, h("label", { htmlFor: name }, `${one.name} · ${typeOf(one.schema)}`), input, h("small", {}, one.description)) };
}

function bodyFields(operation) {
  const types = Object.keys(operation.requestBody.content);
  const id = operation.operationId;
  const type = h("select", { id: `${id}-type` }, types.map((one) => h("option", {}, one)));
  const file = h("input", { id: `${id}-file`, type: "file", multiple: true });
  const text = h("textarea", { id: `${id}-text`, rows: 8, spellcheck: false });
  const label = h("label", {}, "Body");
  const update = () => {
    const json = type.value.includes("json");
    file.hidden = json;
    text.hidden = !json;
    label.htmlFor = json ? text.id : file.id;
    if (json) text.value = JSON.stringify(example(operation.requestBody.content[type.value].schema), null, 2);
  };
  type.addEventListener("change", update);
  update();
  const read = () => {
    if (!text.hidden) return { body: text.value, type: type.value };
    if (type.value.startsWith("multipart")) {
      const form = new FormData();
      for (const one of file.files) form.append("file", one);
      return { body: form }; // the browser declares the boundary
    }
    return { body: file.files[0] ?? "", type: type.value };
  };
  return { read, shown: h("div", { className: "fields" }, h("div", {}, h("label", { htmlFor: type.id }, "Content type"), type), h("div", {}, label, file, text)) };
}

async function send(path, method, inputs, body) {
  let target = path;
  const query = new URLSearchParams();
  let headers = authorized();
  for (const [one, { input }] of inputs) {
    if (one.in === "path") target = target.replace(`{${one.name}}`, encodeURIComponent(input.value));
    else if (input.value !== "" && one.in === "query") query.set(one.name, input.value);
    else if (input.value !== "") headers = { ...headers, [one.name]: input.value };
  }
  const content = body?.read();
  if (content?.type) headers = { ...headers, "Content-Type": content.type };
  const url = server + target + (query.size ? `?${query}` : "");
  const began = performance.now();
  try {
    const answer = await fetch(url, { method: method.toUpperCase(), headers, body: content?.body });
    const bytes = await answer.arrayBuffer();
    return show(answer, bytes, performance.now() - began, url);
  } catch (error) {
    return [h("p", { className: "fault" }, `No answer: ${error.message}`)];
  }
}

function show(answer, bytes, milliseconds, url) {
  const type = answer.headers.get("content-type") ?? "";
  let shown;
  if (type.startsWith("image/")) shown = h("img", { src: URL.createObjectURL(new Blob([bytes], { type })), alt: "The image that was answered" });
  else if (!bytes.byteLength) shown = null;
  else if (TEXTUAL.test(type)) {
    const text = new TextDecoder().decode(bytes);
    shown = h("pre", { tabIndex: 0 }, type.includes("json") ? pretty(text) : text);
  } else shown = h("p", { className: "quiet" }, `${bytes.byteLength} bytes of ${type}`);
  return [
    h("div", {}, h("span", { className: answer.ok ? "status" : "status bad" }, `${answer.status} ${answer.statusText}`),
      h("span", { className: "quiet" }, ` · ${milliseconds.toFixed(1)} ms · ${bytes.byteLength} bytes · `), h("code", {}, url)),
    ...(shown ? [shown] : []),
    h("details", { className: "more" }, h("summary", {}, "Headers"),
      h("pre", {}, [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n"))),
  ];
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

start();

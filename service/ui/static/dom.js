/* Builds elements without ever parsing markup, and fetches with the key that was given. */

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/* `code` between back quotes, lists of lines that begin with a dash, else plain text. */
export function prose(text) {
  const inline = (line) => line.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));
  const lines = text.split("\n").filter((line) => line.trim());
  if (lines.length && lines.every((line) => line.startsWith("- "))) {
    return h("ul", {}, lines.map((line) => h("li", {}, inline(line.slice(2)))));
  }
  return h("p", {}, inline(lines.join(" ")));
}

const KEY = "convserve-key"; // kept for this tab alone, and never sent elsewhere: connect-src is 'self'

export function keyField() {
  return h("input", {
    type: "password",
    id: "key",
    autocomplete: "off",
    spellcheck: false,
    placeholder: "only where keys are asked for",
    value: sessionStorage.getItem(KEY) ?? "",
    oninput: (event) => sessionStorage.setItem(KEY, event.target.value.trim()),
  });
}

export function authorized(headers = {}) {
  const key = sessionStorage.getItem(KEY);
  return key ? { ...headers, Authorization: `Bearer ${key}` } : headers;
}

/* Shows a JSON schema as a nested list of names, types and meanings, and makes an example of it. */
import { h } from "./dom.js";

let definitions = {};

export function define(schemas) {
  definitions = schemas;
}

function resolve(schema) {
  if (!schema.$ref) return schema;
  return { title: schema.$ref.split("/").pop(), ...definitions[schema.$ref.split("/").pop()] };
}

export function typeOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  for (const key of ["anyOf", "oneOf", "allOf"]) {
    if (schema[key]) return schema[key].map(typeOf).join(key === "allOf" ? " & " : " | ");
  }
  if (schema.type === "array") return `${typeOf(schema.items ?? {})}[]`;
  if (Array.isArray(schema.type)) return schema.type.join(" | ");
  const limits = [];
  if (schema.minimum !== undefined) limits.push(`≥ ${schema.minimum}`);
  if (schema.maximum !== undefined) limits.push(`≤ ${schema.maximum}`);
  const name = schema.format ?? schema.type ?? "bytes";
  return limits.length ? `${name} ${limits.join(", ")}` : name;
}

export function tree(schema, depth = 0) {
  const here = resolve(schema);
  const parts = [];
  for (const key of ["anyOf", "oneOf", "allOf"]) {
    for (const one of here[key] ?? []) if (one.type !== "null") parts.push(tree(one, depth));
  }
  if (here.type === "array" && here.items) parts.push(tree(here.items, depth));
  const entries = Object.entries(here.properties ?? {});
  if (entries.length && depth < 5) {
    const required = new Set(here.required ?? []);
    parts.unshift(
      h("ul", { className: "schema" }, entries.map(([name, property]) =>
        h("li", {},
          h("code", {}, name), required.has(name) ? "" : "?", " ",
          h("span", { className: "type" }, typeOf(property)), " ",
          h("span", { className: "quiet" }, resolve(property).description ?? ""),
          tree(property, depth + 1)))));
  }
  return parts.length ? h("div", {}, parts) : "";
}

export function example(schema, depth = 0) {
  const here = resolve(schema);
  if (here.example !== undefined) return here.example;
  if (here.examples?.length) return here.examples[0];
  if (here.default !== undefined) return here.default;
  if (here.const !== undefined) return here.const;
  if (here.enum) return here.enum[0];
  const first = here.anyOf ?? here.oneOf ?? here.allOf;
  if (first) return example(first[0], depth);
  if (here.type === "array") return depth > 4 ? [] : [example(here.items ?? {}, depth + 1)];
  if (here.type === "object" || here.properties) {
    const wanted = new Set(here.required ?? []);
    return Object.fromEntries(
      Object.entries(here.properties ?? {}).filter(([name]) => wanted.has(name)).map(([name, one]) => [name, example(one, depth + 1)]));
  }
  return { integer: here.minimum ?? 1, number: 0, boolean: true, string: "" }[here.type] ?? null;
}

// Who was tried for a request, in order, and how each try ended.

import { element, quoted } from "./elements.js";
import { decimal, text } from "./fields.js";
import { seconds, words } from "./formats.js";

export function attemptList(attempts) {
  return element("ol", { class: "attempts" }, attempts.map(item));
}

/** One dot an attempt, so that a failover is seen before it is read. */
export function dots(attempts) {
  const marks = attempts.slice(0, 12).map(({ outcome }) => element("i", { class: `dot ${kind(outcome)}` }));
  return element("span", { class: "dots", "aria-hidden": "true" }, marks);
}

export function candidateName(provider, model) {
  const [company, name] = [text(provider), text(model)];
  if (!company && !name) return null;
  return [
    company ? quoted(company, { className: "provider-name" }) : null,
    " ",
    name ? quoted(name, { className: "model-name" }) : null,
  ];
}

function item({ provider, model, outcome, latency }) {
  const end = text(outcome);
  return element(
    "li",
    {},
    element("span", { class: "attempt-name" }, candidateName(provider, model) ?? "unknown candidate"),
    element("span", { class: "attempt-end" }, element("i", { class: `dot ${kind(outcome)}`, "aria-hidden": "true" }), end ? quoted(words(end)) : "outcome unknown"),
    element("span", { class: "attempt-time" }, seconds(decimal(latency))),
  );
}

function kind(outcome) {
  return outcome === "success" ? "good" : text(outcome) ? "bad" : "unclear";
}

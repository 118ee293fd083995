// What was saved, what was wasted and what running the router cost, each with its formula.

import { element, quoted, update } from "./elements.js";
import { decimal, record, size, text } from "./fields.js";
import { count, usd } from "./formats.js";

const FORMULA_LIMIT = 600;
const LINES = [
  ["savings", "Savings", "No route with a baseline has answered yet."],
  ["trimming", "Trimmed prompts", "No prompt has been trimmed yet."],
  ["waste", "Waste", ""],
  ["infrastructure", "Infrastructure", "No Lambda function has served yet."],
];

/** Returns whether there is anything to show. */
export function show(parent, stats) {
  const lines = LINES.filter(([field]) => text(record(stats[field]).formula)).map(([field, label, none]) => {
    const { usd: sum, requests, tokens, formula } = record(stats[field]);
    return { label, sum: decimal(sum), requests: decimal(requests), tokens: decimal(tokens), formula: text(formula), none };
  });
  update(parent, lines, { key: ({ label }) => label, build: line });
  return lines.length > 0;
}

function line({ label, sum, requests, tokens, formula, none }) {
  const over = size(requests) > 0 ? ` over ${count(requests)} request${size(requests) === 1 ? "" : "s"}` : "";
  const what = size(tokens) > 0 ? `, ${count(tokens)} tokens` : "";
  const value = sum ? [element("span", { class: "figure" }, usd(sum)), over, what] : none;
  return element(
    "div",
    { class: "balance-line" },
    element("dt", {}, label),
    element("dd", {}, value),
    element("dd", { class: "note" }, quoted(formula, { limit: FORMULA_LIMIT })),
  );
}

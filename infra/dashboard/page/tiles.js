// The totals: requests, tokens, cost, how well the cost is known, success rate.

import { doubts, isUnknown } from "./costs.js";
import { bar, element, update } from "./elements.js";
import { decimal, record, size } from "./fields.js";
import { ABSENT, count, percent, shortUsd, usd } from "./formats.js";

export function show(parent, stats) {
  const tiles = [requests(stats), tokens(stats), cost(stats), basis(stats), success(stats)];
  update(parent, tiles, { key: (tile) => tile.label, build });
}

function build({ label, value, notes, share }) {
  return element(
    "div",
    { class: "tile" },
    element("dt", {}, label),
    element("dd", { class: value === "unknown" ? "value unknown" : "value" }, value),
    share === undefined ? null : element("dd", { class: "tile-bar", "aria-hidden": "true" }, bar(share, "good")),
    notes.map((note) => element("dd", { class: "note" }, note)),
  );
}

function requests({ totalRequests, requestCounts, pending, unsettled }) {
  const { success: answered, failed } = record(requestCounts);
  const parts = [part(answered, "answered"), part(failed, "failed")];
  if (size(unsettled) > 0) parts.push(part(unsettled, "of them unsettled"));
  if (size(pending) > 0) parts.push(part(pending, "under way"));
  return { label: "Requests", value: count(decimal(totalRequests)), notes: [joined(parts)] };
}

function tokens({ totalTokens, promptTokens, completionTokens }) {
  const parts = [part(promptTokens, "prompt"), part(completionTokens, "completion")];
  return { label: "Tokens", value: count(decimal(totalTokens)), notes: [joined(parts)] };
}

function cost({ totalCost, costBasis }) {
  const sum = decimal(totalCost);
  if (isUnknown(totalCost, costBasis)) return { label: "Cost", value: "unknown", notes: [] };
  const [exact, value] = [usd(sum), shortUsd(sum)];
  const unknown = decimal(record(costBasis).unknown);
  const missing = size(unknown) > 0 ? `without ${count(unknown)} unknown` : null;
  return { label: "Cost", value, notes: [exact === value ? null : exact, missing].filter(Boolean) };
}

function basis({ costBasis }) {
  const exact = decimal(record(costBasis).exact);
  const notes = exact ? [doubts(costBasis).join(" · ") || "none estimated, none unknown"] : [];
  return { label: "Exact costs", value: count(exact), notes };
}

function success({ successRate, requestCounts, totalRequests }) {
  const rate = decimal(successRate);
  const answered = decimal(record(requestCounts).success);
  const all = decimal(totalRequests);
  if (!rate) return { label: "Success rate", value: ABSENT, notes: ["no requests yet"] };
  const notes = answered && all ? [`${count(answered)} of ${count(all)} answered`] : [];
  return { label: "Success rate", value: percent(rate), share: rate.toNumber(), notes };
}

function part(value, name) {
  return decimal(value) ? `${count(value)} ${name}` : null;
}

function joined(parts) {
  return parts.filter(Boolean).join(" · ");
}

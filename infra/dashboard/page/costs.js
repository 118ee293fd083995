// How a cost is shown: every digit of it, with its basis, and never as 0 where it is unknown.

import { element, quoted } from "./elements.js";
import { decimal, record, size, text } from "./fields.js";
import { count, usd } from "./formats.js";

const MOST_ALIGNED = 12; // 0.0000375 USD per thousand tokens needs 10 a token

/** How many decimals a column of sums needs so that their points stand below each other. */
export function decimalsOf(costs) {
  return Math.max(2, ...costs.map((cost) => Math.min(MOST_ALIGNED, decimal(cost)?.scale ?? 0)));
}

/** One request's cost, with how far it can be trusted. */
export function costOf({ cost, costBasis }, decimals) {
  const sum = decimal(cost);
  const basis = text(costBasis);
  if (sum === null || basis === "unknown") return [unknown()];
  const kind = basis === "exact" ? "basis" : "basis doubtful";
  return [figure(sum, decimals), basis ? [" ", element("small", { class: kind }, quoted(basis))] : null];
}

/** A sum over requests, with how many of its parts are estimates and how many are missing from it. */
export function costOfMany({ cost, costBasis }, decimals) {
  const notes = element("small", { class: "note" }, doubts(costBasis).join(", "));
  return [isUnknown(cost, costBasis) ? unknown() : figure(decimal(cost), decimals), notes];
}

/** True where no part of a sum is known: then 0 would be a lie. */
export function isUnknown(cost, costBasis) {
  const counts = record(costBasis);
  const sum = decimal(cost);
  return sum === null || (sum.isZero && size(counts.unknown) > 0 && size(counts.exact) + size(counts.estimated) === 0);
}

/** What is less than exact in a sum: `["1 estimated", "2 unknown"]`. */
export function doubts(costBasis) {
  const counts = record(costBasis);
  return ["estimated", "unknown"]
    .filter((basis) => size(counts[basis]) > 0)
    .map((basis) => `${count(decimal(counts[basis]))} ${basis}`);
}

function figure(sum, decimals) {
  return element("span", { class: "figure" }, usd(sum, decimals));
}

function unknown() {
  return element("span", { class: "unknown" }, "unknown");
}

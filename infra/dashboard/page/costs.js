// How a cost is shown: with its basis, and never as 0 where it is unknown.

import { element } from "./elements.js";
import { decimal, record, size, text } from "./fields.js";
import { count, exactUsd, usd } from "./formats.js";

/** One request's cost, with how far it can be trusted. */
export function costOf({ cost, costBasis }, decimals) {
  const sum = decimal(cost);
  const basis = text(costBasis);
  if (sum === null || basis === "unknown") return [unknown()];
  return [figure(sum, decimals), basis ? element("small", { class: `basis basis-${known(basis)}` }, basis) : null];
}

/** A sum over requests, with how many of its parts are estimates and how many are missing from it. */
export function costOfMany({ cost, costBasis }, decimals) {
  const sum = decimal(cost);
  const notes = element("small", { class: "note" }, doubts(costBasis).join(", "));
  if (isUnknown(cost, costBasis)) return [unknown(), notes];
  return [figure(sum, decimals), notes];
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
  return element("span", { class: "figure", title: exactUsd(sum) }, usd(sum, decimals));
}

function unknown() {
  return element("span", { class: "unknown" }, "unknown");
}

function known(basis) {
  return ["exact", "estimated"].includes(basis) ? basis : "other";
}

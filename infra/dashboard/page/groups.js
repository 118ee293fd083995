// What each route, client key and tag used and cost, dearest first.

import { costOfMany, decimalsOf } from "./costs.js";
import { cell, element, quoted, update } from "./elements.js";
import { decimal, record, records, size, text } from "./fields.js";
import { count, percent, seconds } from "./formats.js";

const MOST_ROWS = 50;
const KINDS = [
  ["routes", "route", "Route"],
  ["keys", "key", "Client key"],
  ["tags", "tag", "Tag, last 24 hours"],
];

/** Returns whether there is anything to show. */
export function show(parent, stats) {
  const rows = KINDS.flatMap(([list, field, kind]) =>
    records(stats[list])
      .slice(0, MOST_ROWS)
      .map((figures) => ({ kind, name: text(figures[field]) ?? "", figures })),
  );
  const decimals = decimalsOf(rows.map(({ figures }) => figures.cost));
  const sized = rows.map((row) => ({ ...row, decimals }));
  update(parent, sized, { key: ({ kind, name }) => JSON.stringify([kind, name]), build: tableRow });
  return rows.length > 0;
}

function tableRow({ kind, name, figures, decimals }) {
  const failed = size(figures.failed) > 0 ? element("small", { class: "note" }, `${count(decimal(figures.failed))} failed`) : null;
  return element(
    "tr",
    { role: "row" },
    element("th", { role: "rowheader", scope: "row" }, quoted(name), element("small", { class: "note" }, kind)),
    cell("Requests", { class: "number" }, count(decimal(figures.requests)), failed),
    cell("Tokens", { class: "number" }, count(decimal(figures.tokens))),
    cell("Cost", { class: "number" }, costOfMany(figures, decimals)),
    cell("Success", { class: "number" }, percent(decimal(figures.successRate))),
    cell("Latency p95", { class: "number" }, seconds(decimal(record(figures.latency).p95))),
  );
}

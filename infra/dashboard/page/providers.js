// What each provider and each of its models did: a table whose figures carry bars.

import { costOfMany, decimalsOf, isUnknown } from "./costs.js";
import { bar, cell, element, quoted, update } from "./elements.js";
import { decimal, isRecord, record, size } from "./fields.js";
import { count, percent, seconds } from "./formats.js";

const MOST_ROWS = 200;

export function show(parent, stats) {
  const rows = rowsOf(stats).slice(0, MOST_ROWS);
  const scale = {
    requests: largest(rows, ({ figures }) => figures.requests),
    tokens: largest(rows, ({ figures }) => figures.tokens),
    cost: largest(rows, ({ figures }) => figures.cost),
    latency: largest(rows, ({ figures }) => record(figures.latency).p95 ?? record(figures.latency).p50),
    decimals: decimalsOf(rows.map(({ figures }) => figures.cost)),
  };
  const scaled = rows.map((row) => ({ ...row, scale }));
  update(parent, scaled, { key: ({ provider, model }) => JSON.stringify([provider, model]), build: tableRow });
}

/** Busiest first; a provider's models follow it, unless it has only one, which then stands beside its name. */
function rowsOf(stats) {
  return busiest(stats.providers).flatMap(([provider, figures]) => {
    const models = busiest(figures.models);
    if (models.length === 1) return [{ provider, model: null, only: models[0][0], figures: figuresOf(figures) }];
    const below = models.map(([model, own]) => ({ provider, model, only: null, figures: figuresOf(own) }));
    return [{ provider, model: null, only: null, figures: figuresOf(figures) }, ...below];
  });
}

function busiest(group) {
  return Object.entries(record(group))
    .filter(([, figures]) => isRecord(figures))
    .sort(([, a], [, b]) => size(b.requests) - size(a.requests) || size(b.attempts) - size(a.attempts));
}

function figuresOf({ models: _models, ...figures }) {
  return figures;
}

function tableRow({ provider, model, only, figures, scale }) {
  const latency = record(figures.latency);
  const rate = decimal(figures.successRate);
  return element(
    "tr",
    { role: "row", class: model === null ? "provider-row" : "model-row" },
    element("th", { role: "rowheader", scope: "row" }, model === null ? named(provider, only) : quoted(model)),
    measure("Requests", count(decimal(figures.requests)), share(figures.requests, scale.requests)),
    measure("Tokens", count(decimal(figures.tokens)), share(figures.tokens, scale.tokens)),
    costCell(figures, scale),
    measure("Success", percent(rate), rate?.toNumber(), { kind: "good", note: failures(figures) }),
    measure("Latency p50", seconds(decimal(latency.p50)), share(latency.p50, scale.latency), { kind: "quiet-bar" }),
    measure("Latency p95", seconds(decimal(latency.p95)), share(latency.p95, scale.latency), { kind: "quiet-bar" }),
  );
}

function named(provider, only) {
  return [quoted(provider, { className: "provider-name" }), only === null ? null : quoted(only, { className: "model-name" })];
}

function measure(label, shown, length, { kind = "", note = null } = {}) {
  const figure = element("span", { class: "figure" }, shown);
  const remark = note ? element("small", { class: "note" }, note) : null;
  return cell(label, { class: "number" }, element("div", { class: "measure" }, figure, bar(length, kind), remark));
}

function costCell(figures, scale) {
  const length = isUnknown(figures.cost, figures.costBasis) ? 0 : share(figures.cost, scale.cost);
  const [figure, note] = costOfMany(figures, scale.decimals);
  return cell("Cost", { class: "number" }, element("div", { class: "measure" }, figure, bar(length, "money"), note));
}

function failures({ failedAttempts }) {
  if (size(failedAttempts) === 0) return null;
  return `${count(decimal(failedAttempts))} attempt${size(failedAttempts) === 1 ? "" : "s"} failed`;
}

function largest(rows, valueOf) {
  return Math.max(0, ...rows.map((row) => size(valueOf(row))));
}

function share(value, most) {
  return most > 0 ? size(value) / most : 0;
}

// Requests and cost over time: the last hours as two small bar charts, and the same figures as a table.

import { decimalsOf, isUnknown } from "./costs.js";
import { drawing, element, quoted, time, update } from "./elements.js";
import { Decimal } from "./decimals.js";
import { date, decimal, record, records, size, text } from "./fields.js";
import { count, day, minute, usd } from "./formats.js";

const HOUR_MS = 3_600_000;
const MOST_HOURS = 48;
const FEWEST_HOURS = 12;
const PLOT = { top: 18, height: 96, below: 24 };

/** `end` is the time up to which the figures go. */
export function show({ charts, table }, stats, end) {
  const rows = records(stats.hours).slice(-MOST_HOURS).map((row) => ({ ...row, isUnknown: costIsUnknown(row, stats) }));
  const slots = slotsOf(rows, end);
  const drawn = [requestsChart(slots), costChart(slots)];
  update(charts, drawn, { key: ({ title }) => title, build: chart });
  const decimals = decimalsOf(rows.map(({ cost }) => cost));
  const listed = rows.map((row) => ({ row, decimals })).reverse();
  update(table, listed, { key: ({ row }) => text(row.hour) ?? "", build: tableRow });
}

/** An hour that does not tell its basis: its sum of 0 is in doubt as soon as any cost is unknown. */
function costIsUnknown({ cost, costBasis }, stats) {
  return isUnknown(cost, costBasis ?? { unknown: record(stats.costBasis).unknown });
}

/** One slot an hour up to `end`, those without requests included, so that a gap is seen as one. */
function slotsOf(rows, end) {
  const byHour = new Map();
  for (const row of rows) {
    const at = date(row.hour);
    if (at) byHour.set(Math.floor(at.getTime() / HOUR_MS), row);
  }
  const last = end ? Math.floor(end.getTime() / HOUR_MS) : Math.max(...byHour.keys());
  const first = Math.min(last, ...byHour.keys());
  const length = Math.min(MOST_HOURS, Math.max(FEWEST_HOURS, last - first + 1));
  if (!Number.isFinite(last)) return [];
  return Array.from({ length }, (_, index) => {
    const hour = last - length + 1 + index;
    return { at: new Date(hour * HOUR_MS), row: byHour.get(hour) ?? null };
  });
}

function requestsChart(slots) {
  const bars = slots.map(({ at, row }) => {
    const all = size(row?.requests);
    const failed = Math.min(all, size(row?.failed));
    const told = row ? `${count(decimal(row.requests))} requests, ${count(decimal(row.failed))} failed` : "no requests";
    return { at, parts: [{ value: all - failed, kind: "good" }, { value: failed, kind: "bad" }], told };
  });
  const legend = [
    { kind: "good", name: "answered" },
    { kind: "bad", name: "failed" },
  ];
  return { title: "Requests per hour", bars, legend, label: (top) => count(top) };
}

function costChart(slots) {
  const bars = slots.map(({ at, row }) => {
    const told = !row ? "no requests" : row.isUnknown ? "cost unknown" : usd(decimal(row.cost));
    return { at, parts: [{ value: size(row?.cost), kind: "money" }], told };
  });
  return { title: "Cost per hour", bars, legend: [], label: (top) => usd(top) };
}

function chart({ title, bars, legend, label }) {
  const heights = bars.map(({ parts }) => parts.reduce((sum, { value }) => sum + value, 0));
  const top = ceiling(Math.max(0, ...heights));
  const plot = drawing(
    "svg",
    { class: "plot", "aria-hidden": "true", y: PLOT.top, width: "100%", height: PLOT.height },
    [0, 50, 100].map((y) => drawing("line", { class: "grid", x1: "0", x2: "100%", y1: `${y}%`, y2: `${y}%` })),
    bars.map((entry, index) => column(entry, { index, of: bars.length, top: top.toNumber() })),
  );
  const picture = drawing(
    "svg",
    { class: "chart", role: "img", "aria-label": `${title}, the last ${bars.length} hours. The table below has the figures.` },
    drawing("text", { class: "scale", x: "0", y: PLOT.top - 6 }, label(top)),
    plot,
    ticks(bars),
  );
  const keys = legend.map(({ kind, name }) => element("span", { class: `key ${kind}` }, name));
  const caption = element("figcaption", {}, element("h3", {}, title), element("span", { class: "legend" }, keys));
  return element("figure", {}, caption, picture);
}

function column({ at, parts, told }, { index, of, top }) {
  const x = `${(index / of) * 100}%`;
  let reached = 0;
  const stack = parts
    .filter(({ value }) => value > 0)
    .map(({ value, kind }) => {
      const height = Math.max(2, (value / top) * 100);
      reached += height;
      const place = { x, y: `${100 - reached}%`, width: `${78 / of}%`, height: `${height}%` };
      return drawing("rect", { class: `column ${kind}`, rx: "1.5", ...place });
    });
  const touched = drawing("rect", { class: "touched", x, y: "0", width: `${100 / of}%`, height: "100%" });
  const hour = `${day(at)}, ${minute(at)} to ${minute(new Date(at.getTime() + HOUR_MS))}`;
  return drawing("g", {}, drawing("title", {}, `${hour}: ${told}`), touched, stack);
}

function ticks(bars) {
  const y = PLOT.top + PLOT.height + PLOT.below - 8;
  return bars.map(({ at }, index) => {
    if (at.getHours() % 6 !== 0) return null;
    const x = `${((index + 0.39) / bars.length) * 100}%`;
    const anchor = index === 0 ? "start" : index > bars.length - 4 ? "end" : "middle";
    const isDay = at.getHours() === 0;
    const kind = isDay ? "tick day" : at.getHours() === 12 ? "tick" : "tick between";
    return drawing("text", { class: kind, x, y, "text-anchor": anchor }, isDay ? day(at) : minute(at));
  });
}

/** The next of 1, 2, 5, 10, 20 … from `value` on. */
function ceiling(value) {
  if (!(value > 0) || !Number.isFinite(value)) return new Decimal(1n, 0);
  const exponent = Math.floor(Math.log10(value));
  const leading = [1, 2, 5, 10].find((digit) => Number(`${digit}e${exponent}`) >= value) ?? 10;
  return Decimal.parse(`${leading}e${exponent}`) ?? new Decimal(1n, 0);
}

function tableRow({ row, decimals }) {
  const at = date(row.hour);
  const hour = at ? time(at, `${day(at)}, ${minute(at)}`, at.toISOString()) : quoted(text(row.hour) ?? "unknown hour");
  const numbers = [row.requests, row.failed, row.tokens].map((value) => number(count(decimal(value))));
  return element("tr", {}, element("th", { scope: "row" }, hour), numbers, number(row.isUnknown ? "unknown" : usd(decimal(row.cost), decimals)));
}

function number(content) {
  return element("td", { class: "number" }, content);
}

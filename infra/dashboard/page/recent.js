// The latest requests, each with its attempts to unfold.

import { attemptList, candidateName, dots } from "./attempts.js";
import { costOf, decimalsOf } from "./costs.js";
import { cell, element, quoted, time, update } from "./elements.js";
import { date, decimal, isRecord, records, text } from "./fields.js";
import { ABSENT, clock, count, day, moment, seconds, words } from "./formats.js";

const MOST_ROWS = 100;
const STATUSES = {
  success: { shown: "answered", kind: "good" },
  failed: { shown: "failed", kind: "bad" },
  pending: { shown: "under way", kind: "unclear" },
  unsettled: { shown: "unsettled", kind: "unclear", title: "It never ended: its cost is an upper estimate." },
};

/** `end` is the time up to which the figures go: a request of that day is shown without its date. */
export function show(parent, stats, end) {
  const requests = records(stats.recent).slice(0, MOST_ROWS);
  const decimals = decimalsOf(requests.map(({ cost }) => cost));
  const today = end ? day(end) : null;
  const rows = requests.map((request) => ({ request, decimals, today }));
  update(parent, rows, { key: ({ request }) => text(request.requestId) ?? "", build: tableRow });
}

function tableRow({ request, decimals, today }) {
  const isOver = request.status !== "pending";
  const cost = isOver ? costOf(request, decimals) : element("span", { class: "absent" }, ABSENT);
  return element(
    "tr",
    { role: "row" },
    cell("Time", { class: "when" }, when(request.at, today)),
    cell("Route", { class: "route" }, text(request.route) ? quoted(request.route) : ABSENT),
    cell("Served by", { class: "who" }, server(request)),
    cell("Outcome", { class: "ended" }, outcome(request)),
    cell("Tokens", { class: "number" }, isOver ? count(decimal(request.tokens)) : ABSENT),
    cell("Cost", { class: "number" }, cost),
    cell("Latency", { class: "number" }, isOver ? seconds(decimal(request.latency)) : ABSENT),
    cell("Attempts", { class: "tried" }, unfolding(request)),
  );
}

function when(value, today) {
  const at = date(value);
  if (!at) return ABSENT;
  const ofDay = day(at) === today ? null : element("small", { class: "note" }, day(at));
  return element("span", { class: "stacked" }, time(at, clock(at), moment(at)), ofDay);
}

function server({ status, provider, modelUsed }) {
  if (status === "failed") return element("span", { class: "quiet" }, "no one");
  if (status === "unsettled") return element("span", { class: "quiet" }, "not known");
  return element("span", {}, candidateName(provider, modelUsed) ?? ABSENT);
}

function outcome({ status, error }) {
  const given = text(status);
  const { shown, kind, title } = (given && Object.hasOwn(STATUSES, given) && STATUSES[given]) || { shown: given ?? ABSENT, kind: "unclear" };
  const reason = text(error) ? quoted(words(error), { className: "note" }) : null;
  return element(
    "span",
    { class: "stacked" },
    element("span", { class: "outcome", title }, element("i", { class: `dot ${kind}`, "aria-hidden": "true" }), quoted(shown)),
    reason,
  );
}

function unfolding(request) {
  const attempts = records(request.attempts);
  const warnings = warningsOf(request.warnings);
  const id = text(request.requestId);
  const counted = attempts.length === 0 ? "no attempt" : `${attempts.length} attempt${attempts.length === 1 ? "" : "s"}`;
  const warned = warnings.length === 0 ? "" : `, ${warnings.length} warning${warnings.length === 1 ? "" : "s"}`;
  return element(
    "details",
    {},
    element("summary", {}, `${counted}${warned}`, dots(attempts)),
    attempts.length > 0 ? attemptList(attempts) : element("p", { class: "quiet" }, request.status === "pending" ? "The first one is not over yet." : "No provider was tried."),
    warnings.map((warning) => element("p", { class: "warning-line" }, quoted(warning, { limit: 500 }))),
    id ? element("p", { class: "request-id" }, "Request ", quoted(id)) : null,
  );
}

function warningsOf(value) {
  const list = Array.isArray(value) ? value : [];
  return list.map((warning) => text(isRecord(warning) ? (warning.message ?? warning.kind) : warning)).filter(Boolean);
}

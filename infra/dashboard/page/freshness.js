// How old the figures are, by the server's clock, and what to say when they are old or can't be read.

import { element, time } from "./elements.js";
import { ago, moment } from "./formats.js";

const CLOCK_RESOLUTION_MS = 2000; // the header Date has whole seconds

/** `staleMs`: from which age on the figures are called out of date. */
export function show({ line, problem }, { asOf, failure, clockAheadMs, staleMs }) {
  const ageMs = asOf ? Date.now() - clockAheadMs - asOf.getTime() : null;
  const isStale = ageMs !== null && ageMs > staleMs;
  const state = failure ? "bad" : isStale || ageMs === null ? "unclear" : "good";
  replaceLine(line, { state, asOf, ageMs });
  replaceProblem(problem, message({ asOf, failure, isStale, staleMs }));
}

/** How far this machine's clock is ahead of the server's, as far as the answer tells. */
export function clockAhead(headers) {
  const sent = Date.parse(headers.get("date") ?? "");
  const cachedMs = 1000 * Number(headers.get("age") ?? 0);
  const ahead = Date.now() - (sent + (Number.isFinite(cachedMs) ? cachedMs : 0));
  return Number.isFinite(ahead) && Math.abs(ahead) > CLOCK_RESOLUTION_MS ? ahead : 0;
}

function message({ asOf, failure, isStale, staleMs }) {
  if (failure && asOf) return { level: "bad", text: `${failure} These are the last good figures. Trying again every few seconds.` };
  if (failure) return { level: "bad", text: `${failure} There are no figures yet. Trying again every few seconds.` };
  if (!isStale) return null;
  const limit = staleMs >= 120_000 ? `${staleMs / 60_000} minutes` : `${staleMs / 1000} seconds`;
  return { level: "unclear", text: `These figures are out of date: nothing new was published for more than ${limit}. Is the stats function running?` };
}

function replaceLine(line, { state, asOf, ageMs }) {
  const dot = element("i", { class: `dot ${state}`, "aria-hidden": "true" });
  if (!asOf) return line.replaceChildren(dot, "No figures with a date");
  const at = time(asOf, moment(asOf), asOf.toISOString());
  line.replaceChildren(dot, element("span", { class: "age" }, `Figures of ${ago(ageMs)}`), at);
}

/** Announced by a screen reader when it changes, so it is touched only then, and no age stands in it. */
function replaceProblem(problem, told) {
  if (problem.textContent === (told?.text ?? "")) return;
  problem.replaceChildren(...(told ? [element("p", { class: `problem-text ${told.level}` }, told.text)] : []));
}

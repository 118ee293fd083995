// What an operator should know.

import { element, quoted, time, update } from "./elements.js";
import { date, records, text } from "./fields.js";
import { clock, day, moment, words } from "./formats.js";

const MOST_SHOWN = 100;
const MESSAGE_LIMIT = 500;

export function show(parent, stats) {
  const warnings = records(stats.warnings).slice(0, MOST_SHOWN);
  const none = { none: "None." };
  update(parent, warnings.length > 0 ? warnings : [none], { key: JSON.stringify, build: item });
}

function item({ at, kind, message, none }) {
  if (none) return element("li", { class: "quiet" }, none);
  const since = date(at);
  const told = quoted(text(message) ?? words(text(kind) ?? "unnamed warning"), { limit: MESSAGE_LIMIT });
  return element(
    "li",
    { class: "warning" },
    element("i", { class: "dot unclear", "aria-hidden": "true" }),
    element("span", {}, told),
    since ? time(since, `${day(since)}, ${clock(since)}`, moment(since)) : null,
  );
}

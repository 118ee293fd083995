// What an operator should know: the warnings, and which candidates can serve.

import { element, quoted, time, update } from "./elements.js";
import { date, records, text } from "./fields.js";
import { clock, day, moment, words } from "./formats.js";

const MOST_SHOWN = 100;
const MESSAGE_LIMIT = 500;
const STATES = {
  closed: { shown: "ready", kind: "good" },
  half_open: { shown: "being probed", kind: "unclear" },
  open: { shown: "cooling down", kind: "bad" },
  no_key: { shown: "no key", kind: "unclear" },
  switched_off: { shown: "switched off", kind: "unclear" },
};

export function showWarnings(parent, stats) {
  const warnings = records(stats.warnings).slice(0, MOST_SHOWN);
  const none = { none: "There are no warnings." };
  update(parent, warnings.length > 0 ? warnings : [none], { key: JSON.stringify, build: warningItem });
}

export function showCandidates(parent, stats) {
  const candidates = records(stats.candidates).slice(0, MOST_SHOWN);
  const none = { none: "The figures name no candidates." };
  const shown = candidates.length > 0 ? candidates : [none];
  update(parent, shown, { key: ({ candidate }) => text(candidate) ?? "", build: candidateItem });
}

function warningItem({ at, kind, message, none }) {
  if (none) return element("li", { class: "none" }, none);
  const since = date(at);
  return element(
    "li",
    {},
    element("i", { class: "dot unclear", "aria-hidden": "true" }),
    element("span", { class: "notice-main" }, quoted(text(message) ?? text(kind) ?? "unnamed warning", { limit: MESSAGE_LIMIT })),
    element(
      "span",
      { class: "note" },
      text(kind) && text(message) ? quoted(words(kind)) : null,
      since ? [" · ", time(since, `${day(since)}, ${clock(since)}`, moment(since))] : null,
    ),
  );
}

function candidateItem({ candidate, state, reason, none }) {
  if (none) return element("li", { class: "none" }, none);
  const given = text(state) ?? "state unknown";
  const { shown, kind } = Object.hasOwn(STATES, given) ? STATES[given] : { shown: words(given), kind: "unclear" };
  return element(
    "li",
    {},
    element("i", { class: `dot ${kind}`, "aria-hidden": "true" }),
    element("span", { class: "notice-main" }, quoted(text(candidate) ?? "unnamed candidate")),
    element("span", { class: "notice-state" }, quoted(shown)),
    text(reason) ? element("span", { class: "note" }, quoted(told(reason), { limit: MESSAGE_LIMIT })) : null,
  );
}

/** A reason is a code (`rate_limited`) or a sentence, in which an underscore may be part of a command. */
function told(reason) {
  return /\s/.test(reason) ? reason : words(reason);
}

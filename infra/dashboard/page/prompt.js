// The prompt box, on one machine only: sends a prompt to the router and shows what came of it.

import { attemptList } from "./attempts.js";
import { costOf, decimalsOf } from "./costs.js";
import { parse } from "./decimals.js";
import { element, quoted } from "./elements.js";
import { decimal, record, records, text } from "./fields.js";
import { count, seconds } from "./formats.js";

const LONGEST_WAIT_MS = 120_000;

/** `sent` is called after each answer or error. */
export function offer({ section, form, field, button, result }, { url, sent }) {
  let isBusy = false;
  section.hidden = false;
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isBusy) return;
    if (field.value.trim() === "") {
      result.replaceChildren(fault("Write a prompt first."));
      field.focus();
      return;
    }
    isBusy = true;
    button.setAttribute("aria-disabled", "true");
    result.replaceChildren(element("p", { class: "quiet" }, "Waiting for the answer …"));
    result.replaceChildren(...(await outcome(url, field.value)));
    button.removeAttribute("aria-disabled");
    isBusy = false;
    sent();
  });
}

async function outcome(url, prompt) {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ prompt }),
      signal: AbortSignal.timeout(LONGEST_WAIT_MS),
    });
    return shown(response, await response.text());
  } catch (error) {
    const isSlow = error.name === "TimeoutError";
    return [fault(isSlow ? "The router did not answer in time." : "The router can't be reached. Is it still running?")];
  }
}

function shown(response, body) {
  let read = null;
  try {
    read = record(parse(body));
  } catch {
    return [fault(`The router answered ${response.status} with something that is not JSON.`)];
  }
  return response.ok ? answer(read) : refusal(response.status, read);
}

function answer(read) {
  const warnings = (Array.isArray(read.warnings) ? read.warnings : [])
    .map((warning) => text(record(warning).message) ?? text(warning))
    .filter(Boolean);
  return [
    element("div", { class: "answer", dir: "auto" }, text(read.response) ?? "The answer is empty."),
    facts(read),
    ...warnings.map((warning) => element("p", { class: "warning-line" }, quoted(warning, { limit: 500 }))),
    ...tried(read),
  ];
}

function facts(read) {
  const server = [text(read.provider), text(read.modelUsed)].filter(Boolean).join(" / ");
  const rows = [
    ["Served by", server ? [quoted(server)] : ["not told"]],
    ["Tokens", [count(decimal(read.tokens))]],
    ["Cost", costOf(read, decimalsOf([read.cost]))],
    ["Latency", [seconds(decimal(read.latency))]],
  ];
  const pairs = rows.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, ...value)));
  return element("dl", { class: "facts" }, pairs);
}

function refusal(status, read) {
  const { message, code } = record(read.error);
  const told = text(message) ?? "The router gave no reason.";
  return [fault(told, text(code) ? `${status} ${text(code)}` : String(status)), ...tried(read)];
}

function tried(read) {
  const attempts = records(read.attempts);
  if (attempts.length === 0) return [];
  const summary = element("summary", {}, `${attempts.length} attempt${attempts.length === 1 ? "" : "s"}`);
  return [element("details", { open: attempts.length > 1 }, summary, attemptList(attempts))];
}

function fault(message, code = null) {
  const mark = code ? element("code", {}, quoted(code)) : null;
  return element("p", { class: "problem-text bad" }, quoted(message, { limit: 1000 }), mark ? [" ", mark] : null);
}

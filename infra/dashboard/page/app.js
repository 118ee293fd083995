// Reads stats.json again and again and hands it to the parts of the page.

import * as balance from "./balance.js";
import { parse } from "./decimals.js";
import { date, isRecord, records, size, text } from "./fields.js";
import * as freshness from "./freshness.js";
import * as groups from "./groups.js";
import * as hours from "./hours.js";
import * as prompt from "./prompt.js";
import * as providers from "./providers.js";
import * as recent from "./recent.js";
import * as tiles from "./tiles.js";
import * as warnings from "./warnings.js";
import * as welcome from "./welcome.js";

const READ_LIMIT_MS = 10_000;
const EVERY_MS = 5_000;
const LOCAL_STALE_MS = 60_000; // published every few seconds there
const DEPLOYED_STALE_MS = 15 * 60_000; // published every 5 minutes

const $ = (id) => document.getElementById(id);
const generateUrl = document.querySelector('meta[name="generate-url"]')?.content.trim() ?? "";

let figures = null;
let failure = null;
let clockAheadMs = 0;
let timer = null;
let reading = null;

function staleMs() {
  return generateUrl || figures?.stage === "local" ? LOCAL_STALE_MS : DEPLOYED_STALE_MS;
}

/** Reads once; a second call meanwhile waits for the first. */
function refresh() {
  clearTimeout(timer);
  reading ??= read().finally(() => {
    reading = null;
    if (!document.hidden) timer = setTimeout(refresh, EVERY_MS);
  });
  return reading;
}

async function read() {
  try {
    figures = await fetched();
    failure = null;
  } catch (error) {
    failure = error.message;
  }
  if (!failure) show();
  tick();
}

/** Throws an Error whose message is for the reader of the page. */
async function fetched() {
  const [response, body] = await answer();
  if (!response.ok) throw new Error(`stats.json can't be read (HTTP ${response.status}).`);
  const found = parsed(body);
  clockAheadMs = freshness.clockAhead(response.headers);
  return found;
}

async function answer() {
  try {
    const response = await fetch("stats.json", { cache: "no-cache", signal: AbortSignal.timeout(READ_LIMIT_MS) });
    return [response, await response.text()];
  } catch {
    throw new Error("stats.json can't be reached.");
  }
}

function parsed(body) {
  let found = null;
  try {
    found = parse(body);
  } catch {
    throw new Error("stats.json is not valid JSON.");
  }
  if (!isRecord(found)) throw new Error("stats.json holds no figures.");
  return found;
}

function asOf() {
  return date(figures?.asOf) ?? date(figures?.publishedAt);
}

function tick() {
  if (!figures && !failure) return;
  freshness.show({ line: $("freshness"), problem: $("problem") }, { asOf: asOf(), failure, clockAheadMs, staleMs: staleMs() });
}

function show() {
  const isNew = size(figures.totalRequests) === 0 && records(figures.recent).length === 0;
  $("stage").textContent = text(figures.stage)?.slice(0, 40) ?? "";
  $("stage").hidden = $("stage").textContent === "";
  for (const id of ["totals", "notices"]) $(id).hidden = false;
  for (const id of ["over-time", "by-provider", "latest"]) $(id).hidden = isNew;
  $("welcome").hidden = !isNew;
  tiles.show($("tiles"), figures);
  hours.show({ charts: $("charts"), table: $("hours") }, figures, asOf());
  providers.show($("providers"), figures);
  $("by-group").hidden = !groups.show($("groups"), figures) || isNew;
  $("balance").hidden = !balance.show($("balance-lines"), figures) || isNew;
  warnings.show($("warnings"), figures);
  recent.show($("recent"), figures, asOf());
}

function start() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  $("zone").textContent = `Times are in ${zone}.`;
  welcome.fill({ words: $("welcome-text"), command: $("welcome-command") }, { generateUrl });
  if (generateUrl) {
    const parts = { section: $("prompt"), form: $("prompt-form"), field: $("prompt-text"), button: $("prompt-button") };
    prompt.offer({ ...parts, result: $("prompt-result") }, { url: generateUrl, sent: refresh });
  }
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
  setInterval(tick, 1000);
  refresh();
}

start();

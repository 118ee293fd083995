// Figures as people read them. Money and counts come as Decimal and keep their digits.

export const ABSENT = "–";
const SHORT_DIGITS = 4;

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const MINUTE = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const MOMENT = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZoneName: "short",
});

export const day = (at) => DAY.format(at);
export const clock = (at) => CLOCK.format(at);
export const minute = (at) => MINUTE.format(at);
export const moment = (at) => MOMENT.format(at);

/** 1234567.5 as `1,234,567.5`. */
export function count(value, decimals = 0) {
  if (!value) return ABSENT;
  const [whole, fraction] = value.toFixed(decimals).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction ? `${grouped}.${fraction}` : grouped;
}

/** The share 0.9167 as `91.67%`. */
export function percent(share) {
  return share ? `${count(share.times(100).rounded(2))}%` : ABSENT;
}

/** Seconds to the millisecond, which is how exact they are. */
export function seconds(value) {
  return value ? `${count(value.rounded(3), 3)} s` : ABSENT;
}

/** Every digit of a sum, and zeros up to `decimals` of them after the point. */
export function usd(value, decimals = 0) {
  return withSign(value, count(magnitude(value), decimals));
}

/** A sum in short: to the cent from one dollar on, else four digits that matter. */
export function shortUsd(value) {
  if (value.isZero) return "$0";
  const size = magnitude(value);
  if (size.toNumber() >= 1) return withSign(value, count(size.rounded(2), 2));
  const zeros = size.scale - String(size.units).length;
  return withSign(value, count(size.rounded(zeros + SHORT_DIGITS), 2));
}

/** How long ago in words: `4 s ago`, `25 minutes ago`. */
export function ago(ageMs) {
  const age = Math.max(0, Math.round(ageMs / 1000));
  if (age < 2) return "just now";
  if (age < 60) return `${age} s ago`;
  if (age < 3600) return plural(Math.floor(age / 60), "minute");
  if (age < 48 * 3600) return plural(Math.floor(age / 3600), "hour");
  return plural(Math.floor(age / 86400), "day");
}

/** `server_error` as `server error`. */
export function words(code) {
  return code.replaceAll("_", " ");
}

function plural(number, unit) {
  return `${number} ${unit}${number === 1 ? "" : "s"} ago`;
}

function magnitude(value) {
  return value.units < 0n ? value.times(-1) : value;
}

function withSign(value, digits) {
  return `${value.units < 0n ? "-" : ""}$${digits}`;
}

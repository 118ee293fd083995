// Reads fields of a document that may lack any of them or hold something else there.

import { Decimal } from "./decimals.js";

export function record(value) {
  return isRecord(value) ? value : {};
}

export function isRecord(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Decimal);
}

/** The records in a list; whatever else stands there is left out. */
export function records(value) {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

/** Null where there is no text. */
export function text(value) {
  return typeof value === "string" && value.trim() !== "" ? value : null;
}

/** Null where there is no number. */
export function decimal(value) {
  return value instanceof Decimal ? value : null;
}

/** For lengths, orders and conditions: 0 where there is no number. */
export function size(value) {
  return value instanceof Decimal ? value.toNumber() : 0;
}

/** Null where there is no date. */
export function date(value) {
  const at = typeof value === "string" ? new Date(value) : null;
  return at && Number.isFinite(at.getTime()) ? at : null;
}

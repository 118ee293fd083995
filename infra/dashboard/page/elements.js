// Builds the page's elements. Whatever comes from outside becomes a text node, never markup.

const SVG = "http://www.w3.org/2000/svg";
const NAME_LIMIT = 120;
const TITLE_LIMIT = 1000;

/** An HTML element. Attributes that are null, undefined or false are left out; children are nodes or text. */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function drawing(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return node;
}

/** Text from outside: cut where it is too long to read, and kept from turning the direction of its neighbours. */
export function quoted(value, { limit = NAME_LIMIT, className = null } = {}) {
  const shown = value.length > limit ? `${Array.from(value.slice(0, limit)).slice(0, -1).join("")}…` : value;
  const title = shown === value ? null : value.slice(0, TITLE_LIMIT);
  return element("bdi", { class: className, title }, shown);
}

/** A cell of a table that on a phone becomes a list: its column's name goes with it. */
export function cell(label, attributes, ...children) {
  return element("td", { role: "cell", "data-label": label, ...attributes }, ...children);
}

/** A bar behind or below a figure that says the same; `share` is between 0 and 1. */
export function bar(share, className = "") {
  const length = element("span", { class: `bar-length ${className}` });
  length.style.setProperty("--share", String(Math.min(1, Math.max(0, share || 0))));
  return element("span", { class: "bar", "aria-hidden": "true" }, length);
}

export function time(at, shown, title) {
  return element("time", { datetime: at.toISOString(), title }, shown);
}

const built = new WeakMap();

/**
 * Makes `parent` hold one node for each item, in order. A node whose item has not changed stays as it is, so that
 * what is open stays open and what has the focus keeps it.
 */
export function update(parent, items, { key, build }) {
  const before = built.get(parent) ?? new Map();
  const after = new Map();
  for (const item of items) {
    const name = unused(key(item), after);
    after.set(name, renewed(before.get(name), item, build));
    before.delete(name);
  }
  for (const { node } of before.values()) node.remove();
  let place = parent.firstChild;
  for (const { node } of after.values()) {
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
  }
  built.set(parent, after);
}

function unused(name, taken) {
  let free = String(name);
  while (taken.has(free)) free += "+";
  return free;
}

function renewed(entry, item, build) {
  const signature = JSON.stringify(item);
  if (entry?.signature === signature) return entry;
  const node = build(item);
  if (entry) takeOver(entry.node, node);
  return { signature, node };
}

function takeOver(old, node) {
  const [wasOpen, hadFocus] = [old.querySelector("details")?.open, old.contains(document.activeElement)];
  old.replaceWith(node);
  const details = node.querySelector("details");
  if (details && wasOpen) details.open = true;
  if (hadFocus) node.querySelector("summary")?.focus({ preventScroll: true });
}

// Numbers from JSON without a float in between: what was sent is what is shown, digit for digit.

const NUMBER = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
const MARK = "\uE000"; // private use: no provider's or model's name begins with it
const MOST_DIGITS = 400; // 1e999999999 is valid JSON, and must not fill the memory with zeros

/** A decimal number: `units` divided by ten to the power of `scale`, without trailing zeros. */
export class Decimal {
  constructor(units, scale) {
    while (scale > 0 && units % 10n === 0n) {
      units /= 10n;
      scale -= 1;
    }
    this.units = units;
    this.scale = scale;
  }

  /** Null for what is no number or is absurdly long. */
  static parse(text) {
    const found = NUMBER.exec(text);
    if (!found) return null;
    const [, sign, whole, fraction = "", exponent = "0"] = found;
    const scale = fraction.length - Number(exponent);
    if (whole.length + fraction.length + Math.abs(scale) > MOST_DIGITS) return null;
    const digits = BigInt(whole + fraction) * 10n ** BigInt(Math.max(0, -scale));
    return new Decimal(sign ? -digits : digits, Math.max(0, scale));
  }

  get isZero() {
    return this.units === 0n;
  }

  /** Only for lengths of bars and for comparing; never for what is shown. */
  toNumber() {
    return Number(this.toString());
  }

  times(factor) {
    return new Decimal(this.units * BigInt(factor), this.scale);
  }

  /** Rounded half away from zero to `scale` digits after the point. */
  rounded(scale) {
    if (this.scale <= scale) return this;
    const divisor = 10n ** BigInt(this.scale - scale);
    const size = this.units < 0n ? -this.units : this.units;
    const units = (size + divisor / 2n) / divisor;
    return new Decimal(this.units < 0n ? -units : units, scale);
  }

  /** Plain digits, never an exponent, with at least `decimals` after the point. */
  toFixed(decimals = 0) {
    const places = Math.max(this.scale, decimals);
    const units = this.units * 10n ** BigInt(places - this.scale);
    const digits = String(units < 0n ? -units : units).padStart(places + 1, "0");
    const whole = digits.slice(0, digits.length - places);
    const fraction = digits.slice(digits.length - places);
    return `${units < 0n ? "-" : ""}${whole}${fraction ? "." : ""}${fraction}`;
  }

  toString() {
    return this.toFixed();
  }

  toJSON() {
    return this.toString();
  }
}

/** JSON in which every number becomes a Decimal. Throws SyntaxError for what is not JSON. */
export function parse(text) {
  JSON.parse(text); // refuses what is not JSON before anything is touched
  const marked = text.replace(/"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g, (token) =>
    token.startsWith('"') ? token : `"${MARK}${token}"`,
  );
  return JSON.parse(marked, (_key, value) =>
    typeof value === "string" && value.startsWith(MARK) ? (Decimal.parse(value.slice(1)) ?? value) : value,
  );
}

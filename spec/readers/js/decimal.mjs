// Exact numbers: fractions of BigInts with a positive denominator. Written from fingerprint.md, section 1.

const LENGTH_MAX = 400, MAGNITUDE_MAX = 400;
const DECIMAL = /^([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?$/;

export const trimmed = (text) => text.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, "");

const abs = (value) => (value < 0n ? -value : value);

function divisor(a, b) {
  while (b) [a, b] = [b, a % b];
  return a;
}

export function fraction(numerator, denominator = 1n) {
  const sign = denominator < 0n ? -1n : 1n;
  const common = divisor(abs(numerator), abs(denominator)) || 1n;
  return { n: (sign * numerator) / common, d: (sign * denominator) / common };
}

export function floorDivide(a, b) {
  const quotient = a / b;
  return a % b !== 0n && a < 0n !== b < 0n ? quotient - 1n : quotient;
}

export const floor = ({ n, d }) => floorDivide(n, d);
export const add = (a, b) => fraction(a.n * b.d + b.n * a.d, a.d * b.d);
export const subtract = (a, b) => fraction(a.n * b.d - b.n * a.d, a.d * b.d);
export const multiply = (a, b) => fraction(a.n * b.n, a.d * b.d);
export const divide = (a, b) => fraction(a.n * b.d, a.d * b.n);
export const compare = (a, b) => {
  const difference = a.n * b.d - b.n * a.d;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
};
export const power = (base, exponent) =>
  exponent < 0n ? fraction(1n, base ** -exponent) : fraction(base ** exponent);

// The value of a decimal, or null where the text is none.
export function readDecimal(text) {
  const [, sign, whole, part = "", exponent = "0"] = (text.length <= 4 * LENGTH_MAX && trimmed(text).match(DECIMAL)) || [];
  if (whole === undefined || trimmed(text).length > LENGTH_MAX || !(whole + part)) return null;
  const digits = BigInt(whole + part);
  if (digits === 0n) return fraction(0n);
  const scale = BigInt(exponent) - BigInt(part.length);
  const magnitude = BigInt(String(digits).length) + scale;
  const size =
    abs(magnitude) > MAGNITUDE_MAX
      ? power(10n, BigInt(magnitude > 0n ? MAGNITUDE_MAX : -MAGNITUDE_MAX))
      : multiply(fraction(digits), power(10n, scale));
  return sign === "-" ? fraction(-size.n, size.d) : size;
}

// The plain decimal of a value; null where it has none, or one with more than `places` digits after the point.
export function plainDecimal({ n, d }, places = 1000) {
  let scale = 0;
  for (; d !== 1n; scale++) {
    if (scale >= places) return null;
    ({ n, d } = fraction(10n * n, d));
  }
  const digits = String(abs(n)).padStart(scale + 1, "0");
  const end = digits.length - scale;
  return (n < 0n ? "-" : "") + digits.slice(0, end) + (scale ? `.${digits.slice(end)}` : "");
}

export function isqrt(value) {
  if (value < 2n) return value;
  let root = 1n << BigInt((value.toString(2).length + 1) >> 1);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

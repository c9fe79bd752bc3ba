// Bytes and hex, and the one way in which a reader refuses something.

// Thrown for input that breaks a rule; `code` is the code that the specification names for it.
export class Refusal extends Error {
  constructor(code, detail = "") {
    super(detail ? `${code}: ${detail}` : code);
    this.code = code;
  }
}

export function require(condition, code, detail = "") {
  if (!condition) throw new Refusal(code, detail);
}

export const toHex = (bytes) => Buffer.from(bytes).toString("hex");

export function fromHex(text) {
  if (!/^([0-9a-f]{2})*$/.test(text)) throw new TypeError(`not lower-case hex: ${text.slice(0, 40)}`);
  return new Uint8Array(Buffer.from(text, "hex"));
}

export const joined = (...parts) => new Uint8Array(Buffer.concat(parts.map((part) => Buffer.from(part))));

export const equal = (first, second) => Buffer.compare(Buffer.from(first), Buffer.from(second)) === 0;

export const isZero = (bytes) => bytes.every((byte) => byte === 0);

// Takes numbers and bytes off the front of an array, one after another. Integers are little-endian.
export class Cursor {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.at = 0;
  }

  #step(size) {
    const at = this.at;
    this.at += size;
    return at;
  }

  u8() { return this.view.getUint8(this.#step(1)); }
  u16() { return this.view.getUint16(this.#step(2), true); }
  u32() { return this.view.getUint32(this.#step(4), true); }
  i32() { return this.view.getInt32(this.#step(4), true); }
  f64() { return this.view.getFloat64(this.#step(8), true); }
  take(size) { return this.bytes.slice(this.#step(size), this.at); }
  rest() { return this.take(this.bytes.length - this.at); }
}

// Puts numbers and bytes one after another.
export class Writer {
  parts = [];

  #number(size, set) {
    const bytes = new Uint8Array(size);
    set(new DataView(bytes.buffer));
    this.parts.push(bytes);
    return this;
  }

  u8(value) { return this.#number(1, (view) => view.setUint8(0, value)); }
  u16(value) { return this.#number(2, (view) => view.setUint16(0, value, true)); }
  u32(value) { return this.#number(4, (view) => view.setUint32(0, value, true)); }
  i32(value) { return this.#number(4, (view) => view.setInt32(0, value, true)); }
  f64(value) { return this.#number(8, (view) => view.setFloat64(0, value, true)); }
  bytes(value) { this.parts.push(value); return this; }

  // The bytes so far, with zeros up to `size` where one is given.
  done(size) {
    const all = joined(...this.parts);
    if (size === undefined) return all;
    if (all.length > size) throw new RangeError(`${all.length} bytes do not fit into ${size}`);
    const padded = new Uint8Array(size);
    padded.set(all);
    return padded;
  }
}

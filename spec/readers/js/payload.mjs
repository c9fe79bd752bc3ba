// The payload of a packet: outcome-packet.md, sections 4 and 5.

import { Cursor, Writer, fromHex, isZero, require, toHex } from "./bytes.mjs";

const LEVELS_MAX = 4096;

const CATEGORY = 1, NUMBER = 2, HISTOGRAM = 3, MOMENTS = 4, COUNTS = 5, BITS = 6, VALUE = 7, PACKET_ID = 8;

// size of an item in bytes, and whether there may be more than one
const FORMS = {
  [CATEGORY]: { size: 2 },
  [NUMBER]: { size: 8 },
  [HISTOGRAM]: { size: 2, several: true, levels: true },
  [MOMENTS]: { size: 20 },
  [COUNTS]: { size: 4, several: true, levels: true },
  [BITS]: { size: 1, several: true },
  [VALUE]: { size: 4 },
  [PACKET_ID]: { size: 32 },
};

function readNumber(cursor) {
  const value = cursor.f64();
  require(Number.isFinite(value) && !Object.is(value, -0), "packet-outcome", "a number that is not finite, or minus zero");
  return value;
}

function readOutcome(cursor, form, items, firstLevel) {
  const several = (read) => Array.from({ length: items }, read);
  switch (form) {
    case CATEGORY: {
      const code = cursor.u16();
      require(code >= 1 && code <= LEVELS_MAX, "packet-outcome", `category ${code}`);
      return { form, code };
    }
    case NUMBER:
      return { form, value: readNumber(cursor) };
    case HISTOGRAM: {
      const counts = several(() => cursor.u16());
      require(counts.some((count) => count > 0), "packet-outcome", "a histogram of no records");
      return { form, first_level: firstLevel, counts };
    }
    case MOMENTS: {
      const moments = { form, n: cursor.u32(), mean: readNumber(cursor), m2: readNumber(cursor) };
      require(moments.n >= 1 && moments.m2 >= 0, "packet-outcome", "moments of no records, or m2 below zero");
      return moments;
    }
    case COUNTS:
      return { form, first_level: firstLevel, counts: several(() => cursor.i32()) };
    case BITS:
      return { form, bits: toHex(cursor.take(items)) };
    case VALUE:
      return { form, value: cursor.u32() };
    case PACKET_ID:
      return { form, packet_id: toHex(cursor.take(32)) };
  }
}

// Section 9, step 3.1 to 3.6. The payload is as long as `bytes`.
export function readPayload(bytes) {
  const cursor = new Cursor(bytes);
  const words = cursor.u8(), sketchBytes = cursor.u8(), conditionCount = cursor.u8();
  const form = cursor.u8(), items = cursor.u8(), confidence = cursor.u8();
  const action = cursor.u16(), firstLevel = cursor.u16();

  const sound = words <= 16 && (sketchBytes === 0 || sketchBytes === 32) && conditionCount <= 16;
  require(sound, "packet-payload", "lengths in the header");

  const rule = FORMS[form];
  require(rule, "packet-outcome", `form ${form}`);
  require(items === 1 || (items > 1 && rule.several), "packet-outcome", `${items} items`);
  require(firstLevel === 0 || (rule.levels && firstLevel + items <= LEVELS_MAX), "packet-outcome", "first level");

  const used = cursor.at + 8 * words + sketchBytes + 2 * conditionCount + items * rule.size;
  require(used <= bytes.length, "packet-payload", `${used} bytes do not fit`);

  const fingerprint = toHex(cursor.take(8 * words));
  const sketch = toHex(cursor.take(sketchBytes));
  const conditions = Array.from({ length: conditionCount }, () => cursor.u16());
  const outcome = readOutcome(cursor, form, items, firstLevel);
  require([action, ...conditions].every((code) => code <= LEVELS_MAX), "packet-payload", "a level code");
  require(isZero(cursor.rest()), "packet-padding");
  return { fingerprint, sketch, conditions, action, confidence, outcome };
}

export function writePayload(payload, size) {
  const { fingerprint, sketch, conditions, action, confidence, outcome } = payload;
  const { form, first_level: firstLevel = 0 } = outcome;
  const items = outcome.counts?.length ?? (form === BITS ? outcome.bits.length / 2 : 1);
  const writer = new Writer()
    .u8(fingerprint.length / 16).u8(sketch.length / 2).u8(conditions.length)
    .u8(form).u8(items).u8(confidence).u16(action).u16(firstLevel)
    .bytes(fromHex(fingerprint)).bytes(fromHex(sketch));
  for (const condition of conditions) writer.u16(condition);
  switch (form) {
    case CATEGORY: writer.u16(outcome.code); break;
    case NUMBER: writer.f64(outcome.value); break;
    case HISTOGRAM: outcome.counts.forEach((count) => writer.u16(count)); break;
    case MOMENTS: writer.u32(outcome.n).f64(outcome.mean).f64(outcome.m2); break;
    case COUNTS: outcome.counts.forEach((count) => writer.i32(count)); break;
    case BITS: writer.bytes(fromHex(outcome.bits)); break;
    case VALUE: writer.u32(outcome.value); break;
    case PACKET_ID: writer.bytes(fromHex(outcome.packet_id)); break;
  }
  return writer.done(size);
}

// The plaintext of a sealed payload has 208 bytes.
export function readPlaintext(bytes) {
  require(bytes.length === 208, "packet-payload", `${bytes.length} bytes`);
  return readPayload(bytes);
}

// Records to integers. Written from fingerprint.md, sections 4, 5 and 9.

import { require } from "./bytes.mjs";
import { add, compare, divide, floor, fraction, multiply, plainDecimal, readDecimal, subtract, trimmed } from "./decimal.mjs";
import { breakpoints, steps } from "./logarithm.mjs";
import { hasIndicator, levelText, readTemplate, sizeOf } from "./template.mjs";

export const SCALE = 4096;
const MISSING = ["", "?", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"];
const TRUTHS = { true: ["true", "True", "TRUE", "1", "yes"], false: ["false", "False", "FALSE", "0", "no"] };
const HALF = fraction(1n, 2n);

export const scaled = (coordinate, weight) => Number(floor(add(multiply(fraction(BigInt(coordinate)), weight), HALF)));

function spread(value, low, high) {
  const share = divide(multiply(subtract(value, low), fraction(BigInt(2 * SCALE))), subtract(high, low));
  return Number(floor(add(share, HALF))) - SCALE;
}

const isMissing = (value, levels = []) =>
  value === undefined ||
  value === null ||
  (typeof value === "string" && MISSING.includes(trimmed(value)) && !levels.includes(levelText(value)));

function exactNumber(value, [low, high], outside = "refuse") {
  const text = typeof value === "number" ? String(value) : value;
  const number = typeof text === "string" ? readDecimal(text) : null;
  if (!number) {
    const word = typeof text === "string" ? trimmed(text).replace(/^[+-]+/, "").toLowerCase() : "";
    require(!["nan", "inf", "infinity"].includes(word), "value-not-finite");
    require(false, "value-number");
  }
  if (compare(number, low) >= 0 && compare(number, high) <= 0) return number;
  require(outside === "clamp", "value-outside");
  return compare(number, low) < 0 ? low : high;
}

function levelIndex(value, levels) {
  if (typeof value === "boolean") return levels.indexOf(TRUTHS[value].find((name) => levels.includes(name)));
  require(["string", "number"].includes(typeof value), "value-type");
  return levels.indexOf(typeof value === "number" ? plainDecimal(readDecimal(String(value))) : levelText(value));
}

function knownLevel(value, levels) {
  const index = levelIndex(value, levels);
  require(index >= 0, "value-unknown-level");
  return index;
}

const flags = (count, present) => Array.from({ length: count }, (_, index) => (present.includes(index) ? SCALE : 0));
const evenly = (index, count) => spread(fraction(BigInt(index)), fraction(0n), fraction(BigInt(count - 1)));

// The coordinates of a value without weight and indicator; null where it counts as missing.
const KINDS = {
  number: ({ range, scale, outside }, value) => {
    const number = exactNumber(value, range, outside);
    if (scale === "linear") return [spread(number, ...range)];
    return [spread(...[number, ...range].map((end) => fraction(steps(end))))];
  },
  category: ({ levels, other }, value) => {
    const index = levelIndex(value, levels);
    if (index < 0 && other === "missing") return null;
    require(index >= 0, "value-unknown-level");
    return levels.length === 2 ? [evenly(index, 2)] : flags(levels.length, [index]);
  },
  ordinal: ({ levels, other }, value) => {
    const index = levelIndex(value, levels);
    if (index < 0 && other === "missing") return null;
    require(index >= 0, "value-unknown-level");
    return [evenly(index, levels.length)];
  },
  set: ({ levels }, value) => {
    const members = typeof value === "string" ? value.split(";").filter((part) => trimmed(part)) : value;
    require(Array.isArray(members), "value-type");
    return flags(levels.length, members.map((member) => knownLevel(member, levels)));
  },
  vector: ({ size, range, outside }, value) => {
    const numbers = typeof value === "string" ? value.split(";") : value;
    require(Array.isArray(numbers) && numbers.length === size, "value-vector");
    return numbers.map((number) => spread(exactNumber(number, range, outside), ...range));
  },
  text: (_, value) => {
    require(typeof value === "string", "value-type");
    throw new Error("this reader has no embedder");
  },
};

export const quantised = (embedding) =>
  embedding.map((e) => Math.min(Math.max(Math.floor(e * 32768 + 0.5), -SCALE), SCALE));

export function encodeField(field, value) {
  const found = isMissing(value, field.levels) ? null : KINDS[field.kind](field, value);
  require(found || hasIndicator(field), "value-missing");
  const coordinates = found ?? Array(sizeOf(field)).fill(0);
  if (hasIndicator(field)) coordinates.push(found ? 0 : SCALE);
  return coordinates.map((coordinate) => scaled(coordinate, field.weight));
}

export function encodeRecord({ situation }, record) {
  const names = situation.map(({ name }) => name);
  for (const key of Object.keys(record)) require(names.includes(key), "field-unknown", key);
  return situation.flatMap((field) => encodeField(field, Object.hasOwn(record, field.name) ? record[field.name] : null));
}

const codeOrZero = (levels, value) => (isMissing(value, levels) ? 0 : 1 + knownLevel(value, levels));

export const checks = {
  "encode-record": ({ template, record }) => ({ coordinates: encodeRecord(readTemplate(template), record) }),
  "encode-breakpoint": ({ index }) => ({ breakpoint: String(breakpoints[index]) }),
  "encode-steps": ({ value }) => ({ steps: Number(steps(readDecimal(value))) }),
  "encode-embedding": ({ embedding }) => ({ coordinates: quantised(embedding) }),
  "encode-outcome": ({ template, outcome }) => {
    const { kind, levels, range } = readTemplate(template).outcome;
    require(!isMissing(outcome, levels), "outcome-missing");
    if (kind === "category") return { code: 1 + knownLevel(outcome, levels) };
    exactNumber(outcome, range);
    return { code: Number(outcome) + 0 };
  },
  "encode-action": ({ template, action }) => {
    const levels = readTemplate(template).action?.levels;
    require(levels || action === null, "action-unknown");
    return { code: levels ? codeOrZero(levels, action) : 0 };
  },
  "encode-conditions": ({ template, conditions }) => {
    const known = readTemplate(template).conditions;
    const names = known.map(({ name }) => name);
    for (const key of Object.keys(conditions)) require(names.includes(key), "field-unknown", key);
    return { codes: known.map(({ name, levels }) => codeOrZero(levels, conditions[name])) };
  },
};

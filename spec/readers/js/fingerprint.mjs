// Fingerprints, cells and sketches of encoded records. Written from fingerprint.md, sections 6 to 8.

import { blake2s } from "./blake2s.mjs";
import { Writer, fromHex, toHex } from "./bytes.mjs";
import { floorDivide, isqrt } from "./decimal.mjs";
import { SCALE, encodeRecord, scaled } from "./encode.mjs";
import { hasIndicator, readTemplate, sizeOf } from "./template.mjs";

const UPPER_HALF = [
  0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 8, 8, 8, 9, 9, 10, 10, 10, 11, 11, 12, 12, 13, 13, 13, 14, 14,
  15, 15, 15, 16, 16, 17, 17, 18, 18, 18, 19, 19, 20, 20, 21, 21, 22, 22, 22, 23, 23, 24, 24, 25, 25, 26, 26, 27, 27, 28,
  28, 29, 29, 30, 30, 31, 31, 32, 32, 33, 33, 34, 35, 35, 36, 36, 37, 38, 38, 39, 39, 40, 41, 41, 42, 43, 43, 44, 45, 46,
  46, 47, 48, 49, 50, 50, 51, 52, 53, 54, 55, 56, 57, 58, 60, 61, 62, 63, 65, 66, 68, 70, 71, 73, 76, 78, 81, 84, 88, 93,
  101, 115,
];
const gauss = (byte) => (byte >= 128 ? UPPER_HALF[byte - 128] : -UPPER_HALF[127 - byte]);

function hash(key, letter, ...numbers) {
  const writer = new Writer().bytes(new TextEncoder().encode(letter));
  for (const number of numbers) writer.u32(number);
  return blake2s(writer.done(), { key });
}

export function weightsOf(key, bit, width) {
  const weights = [];
  for (let block = 0; weights.length < width; block++) weights.push(...Array.from(hash(key, "W", bit, block), gauss));
  return weights.slice(0, width);
}

export function offsetOf(key, bit, width) {
  const sum = Array.from(hash(key, "B", bit).slice(0, 4), gauss).reduce((total, weight) => total + weight);
  return Number((BigInt(sum) * BigInt(SCALE) * isqrt(BigInt(width) << 16n)) >> 10n);
}

export function fingerprintOf(template, coordinates) {
  const key = fromHex(template.spaceId);
  const bytes = new Uint8Array(template.fingerprint.bits / 8);
  for (let bit = 0; bit < template.fingerprint.bits; bit++) {
    const sum = weightsOf(key, bit, coordinates.length).reduce(
      (total, weight, index) => total + weight * coordinates[index],
      offsetOf(key, bit, coordinates.length),
    );
    if (sum >= 0) bytes[bit >> 3] |= 128 >> (bit % 8);
  }
  return bytes;
}

function distance(one, other) {
  let bits = 0;
  for (let place = 0; place < one.length; place++) {
    for (let differs = one[place] ^ other[place]; differs > 0; differs &= differs - 1) bits++;
  }
  return bits;
}

export function cellOf(bytes, { bits, prototypes }) {
  if (prototypes) {
    const distances = prototypes.map((prototype) => distance(bytes, fromHex(prototype)));
    return distances.indexOf(Math.min(...distances));
  }
  let cell = 0;
  for (let bit = 0; bit < bits; bit++) cell = 2 * cell + ((bytes[bit >> 3] >> (7 - (bit % 8))) & 1);
  return cell;
}

function reachOf({ situation }) {
  let energy = 0;
  for (const field of situation) {
    const end = scaled(SCALE, field.weight), size = sizeOf(field);
    const twelfths = { category: 12, set: 3 * size, text: 3 * size }[field.kind] ?? 4 * size;
    energy += twelfths * end ** 2;
  }
  const reach = isqrt((25n * BigInt(energy)) / 48n);
  return reach > 1n ? reach : 1n;
}

function valuesBeforeIndicators({ situation }) {
  const values = [], indicators = [];
  let at = 0;
  for (const field of situation) {
    for (let end = at + sizeOf(field); at < end; at++) values.push(at);
    if (hasIndicator(field)) indicators.push(at++);
  }
  return [...values, ...indicators];
}

const isOdd = (number) => number.toString(2).replaceAll("0", "").length % 2 === 1;

export function sketchOf(template, coordinates) {
  const key = fromHex(template.spaceId), reach = reachOf(template), sums = Array(64).fill(0);
  let slots, signs;
  valuesBeforeIndicators(template).forEach((place, k) => {
    if (k % 256 === 0) signs = hash(key, "S", k / 256);
    if (k % 64 === 0) {
      const keyed = Array.from({ length: 64 }, (_, slot) => [toHex(hash(key, "P", k / 64, slot)), slot]);
      slots = keyed.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, slot]) => slot);
    }
    const flips = (signs[(k % 256) >> 3] >> (7 - (k % 8))) & 1;
    const value = flips ? -coordinates[place] : coordinates[place];
    for (let i = 0; i < 64; i++) sums[i] += isOdd(i & slots[k % 64]) ? -value : value;
  });
  const levels = sums.map((sum) => {
    const level = Number(floorDivide(8n * BigInt(sum), reach)) + 8;
    return Math.min(Math.max(level, 0), 15);
  });
  return Uint8Array.from({ length: 32 }, (_, m) => 16 * levels[2 * m] + levels[2 * m + 1]);
}

export const checks = {
  "fingerprint-weights": ({ space_id, bit, width }) => ({ weights: weightsOf(fromHex(space_id), bit, width) }),
  "fingerprint-offset": ({ space_id, bit, width }) => ({ offset: offsetOf(fromHex(space_id), bit, width) }),
  "fingerprint-bits": ({ template, coordinates }) => ({
    fingerprint: toHex(fingerprintOf(readTemplate(template), coordinates)),
  }),
  "fingerprint-record": ({ template, record }) => {
    const read = readTemplate(template);
    const fingerprint = fingerprintOf(read, encodeRecord(read, record));
    return { fingerprint: toHex(fingerprint), cell: cellOf(fingerprint, read.cells) };
  },
  "fingerprint-cell": ({ fingerprint, bits }) => ({ cell: cellOf(fromHex(fingerprint), { bits }) }),
  "fingerprint-sketch": ({ template, coordinates }) => ({ sketch: toHex(sketchOf(readTemplate(template), coordinates)) }),
};

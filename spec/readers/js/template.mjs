// Templates: read, check, write canonically, identify. Written from fingerprint.md, sections 2 and 3.

import { blake2s } from "./blake2s.mjs";
import { require, toHex } from "./bytes.mjs";
import { compare, fraction, plainDecimal, readDecimal, trimmed } from "./decimal.mjs";
import { steps } from "./logarithm.mjs";

const REQUIRED = Symbol("required");
const FIELD_KEYS = {
  number: ["range", "unit", "scale", "outside"],
  category: ["levels", "other"],
  ordinal: ["levels", "other"],
  set: ["levels"],
  vector: ["size", "range", "outside"],
  text: ["embedder"],
};
const PROFILES = ["open", "consortium", "k-anonymous", "dp-aggregate", "local-dp"];
const TEN_TO_30 = 10n ** 30n;

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const length = (text) => [...text].length;
const hasControls = (text) => /[\u0000-\u001f\u007f-\u009f]/.test(text) || !text.isWellFormed();
const isTitle = (text) => length(text) >= 1 && length(text) <= 128 && trimmed(text) === text && !hasControls(text);
export const byCodePoint = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b));

export function levelText(text) {
  const plain = trimmed(text.normalize("NFC"));
  return plain.match(/^(-?(?:0|[1-9][0-9]*))\.0+$/)?.[1] ?? plain;
}

// One table: typed look-ups that refuse what does not fit.
class Table {
  constructor(data, known) {
    require(isObject(data), "template-type", "not a table");
    for (const key of Object.keys(data)) require(known.includes(key), "template-key-unknown", key);
    this.data = data;
  }

  get(key, preset, isRight) {
    const value = Object.hasOwn(this.data, key) ? this.data[key] : preset;
    require(value !== REQUIRED, "template-key-missing", key);
    require(isRight(value), "template-type", key);
    return value;
  }

  text(key, preset = REQUIRED) {
    return this.get(key, preset, (value) => typeof value === "string").normalize("NFC");
  }

  choice(key, choices, preset = REQUIRED) {
    const value = this.text(key, preset);
    require(choices.includes(value), "template-value", key);
    return value;
  }

  integer(key, least, most, preset = REQUIRED) {
    const value = this.get(key, preset, Number.isInteger);
    require(value >= least && value <= most, "template-value", key);
    return value;
  }

  title(key, preset = REQUIRED) {
    const value = this.text(key, preset);
    require(isTitle(value), "template-name", key);
    return value;
  }

  unit() {
    const value = this.text("unit", "");
    require(value === "" || isTitle(value), "template-value", "unit");
    return value;
  }

  range() {
    const ends = this.get("range", REQUIRED, Array.isArray);
    require(ends.length === 2, "template-range");
    const [low, high] = ends.map((end) => {
      const value = typeof end === "string" ? readDecimal(end) : null;
      require(value, "template-type", "range");
      require((value.n < 0n ? -value.n : value.n) < TEN_TO_30 * value.d, "template-range");
      require((value.n * TEN_TO_30) % value.d === 0n, "template-range");
      return value;
    });
    require(compare(low, high) < 0, "template-range");
    return [low, high];
  }

  levels(least) {
    const given = this.get("levels", REQUIRED, (value) => Array.isArray(value) && value.every((l) => typeof l === "string"));
    const levels = given.map(levelText);
    require(levels.length >= least && levels.length <= 4096, "template-levels");
    for (const level of levels) require(isTitle(level) && levelText(level) === level, "template-level", level);
    require(new Set(levels).size === levels.length, "template-levels", "twice");
    return levels;
  }
}

function readField(name, data) {
  require(isObject(data), "template-type", name);
  const kind = new Table(data, Object.keys(data)).choice("kind", Object.keys(FIELD_KEYS));
  const table = new Table(data, ["kind", "missing", "weight", ...FIELD_KEYS[kind]]);
  require(isTitle(name), "template-name", name);
  const weight = readDecimal(table.get("weight", "1", (value) => typeof value === "string" && readDecimal(value)));
  const thousandths = fraction(weight.n * 1000n, weight.d);
  require(thousandths.d === 1n && thousandths.n >= 1n && thousandths.n <= 7999n, "template-weight");
  const field = { name, kind, missing: table.choice("missing", ["indicator", "refuse"], "indicator"), weight };
  if (["category", "ordinal", "set"].includes(kind)) field.levels = table.levels(kind === "set" ? 1 : 2);
  if (kind === "set") for (const level of field.levels) require(!level.includes(";"), "template-level", level);
  if (["category", "ordinal"].includes(kind)) {
    field.other = table.choice("other", ["refuse", "missing"], "refuse");
    require(field.other === "refuse" || field.missing === "indicator", "template-missing");
  }
  if (["number", "vector"].includes(kind)) {
    field.range = table.range();
    field.outside = table.choice("outside", ["refuse", "clamp"], "refuse");
  }
  if (kind === "number") {
    field.unit = table.unit();
    field.scale = table.choice("scale", ["linear", "log"], "linear");
    const [low, high] = field.range;
    if (field.scale === "log") require(low.n > 0n && steps(low) !== steps(high), "template-range");
  }
  if (kind === "vector") field.size = table.integer("size", 1, 4096);
  if (kind === "text") field.embedder = table.choice("embedder", ["wordllama-256"], "wordllama-256");
  return field;
}

// Coordinates of a field without its indicator.
export function sizeOf({ kind, levels, size }) {
  if (kind === "category") return levels.length === 2 ? 1 : levels.length;
  return { number: 1, ordinal: 1, set: levels?.length, vector: size, text: 256 }[kind];
}

export const hasIndicator = ({ missing }) => missing === "indicator";

function readOutcome(data) {
  require(isObject(data), "template-type", "outcome");
  const kind = new Table(data, Object.keys(data)).choice("kind", ["category", "number"]);
  const table = new Table(data, kind === "category" ? ["kind", "name", "levels"] : ["kind", "name", "range", "unit"]);
  const name = table.title("name", "outcome");
  if (kind === "category") return { kind, name, levels: table.levels(2) };
  return { kind, name, range: table.range(), unit: table.unit() };
}

function readNamed(data, read) {
  require(isObject(data), "template-type");
  const found = Object.entries(data).map(([name, value]) => read(name.normalize("NFC"), value));
  found.sort((a, b) => byCodePoint(a.name, b.name));
  found.slice(1).forEach(({ name }, index) => require(name !== found[index].name, "template-name", "twice"));
  return found;
}

function checkNames({ situation, action, outcome, conditions }) {
  require(situation.length > 0, "template-situation");
  for (const { name } of situation) {
    require(name !== outcome.name && name !== "outcome", "template-outcome-in-situation");
    require(name !== action?.name && name !== "action", "template-action-in-situation");
  }
  require(action?.name !== outcome.name, "template-name");
  const taken = [outcome.name, action?.name, "outcome", "action"];
  for (const { name } of conditions) require(!taken.includes(name), "template-name", name);
}

function checkSizes({ situation, outcome, conditions, fingerprint, profile, dataClass, width }) {
  require(width <= 8192, "template-width");
  require(conditions.length <= 16, "template-conditions");
  require(dataClass !== "personal" || profile !== "open", "template-profile");
  require(!fingerprint.sketch || ["open", "consortium"].includes(profile), "template-profile");
  const size = 10 + fingerprint.bits / 8 + (fingerprint.sketch ? 32 : 0) + 2 * conditions.length;
  const room = profile === "consortium" ? 208 : 240;
  require(size + (outcome.kind === "category" ? 2 : 8) <= room, "template-budget");
}

function readCells(data, fingerprintBits) {
  const kind = new Table(data, Object.keys(data)).choice("kind", ["prefix", "codebook"], "prefix");
  const isCodebook = kind === "codebook";
  const table = new Table(data, ["kind", "bits", "group_bits", ...(isCodebook ? ["prototypes"] : [])]);
  const prototypes = isCodebook ? table.get("prototypes", REQUIRED, Array.isArray) : undefined;
  const bits = table.integer("bits", isCodebook ? 1 : 0, isCodebook ? 12 : 32, 0);
  for (const prototype of prototypes ?? []) {
    require(typeof prototype === "string" && /^[0-9a-f]+$/.test(prototype), "template-codebook");
    require(prototype.length === fingerprintBits / 4, "template-codebook");
  }
  if (isCodebook) require(new Set(prototypes).size === 2 ** bits, "template-codebook");
  if (isCodebook) require(prototypes.length === 2 ** bits, "template-codebook");
  return { kind, bits, group_bits: table.integer("group_bits", 0, bits, 0), prototypes };
}

export function readTemplate(text) {
  let data;
  try {
    data = JSON.parse(text);
  } catch {
    require(false, "template-syntax");
  }
  const names = ["situation", "action", "outcome", "conditions", "fingerprint", "cells", "privacy", "retention"];
  const top = new Table(data, ["format", "name", "description", "data_class", ...names]);
  require(top.get("format", REQUIRED, Number.isInteger) === 1, "template-format");
  const part = (key, known) => new Table(top.get(key, {}, isObject), known);
  const print = part("fingerprint", ["bits", "encoder", "salt", "sketch"]);
  require(print.get("encoder", 1, Number.isInteger) === 1, "template-format");
  const cells = readCells(top.get("cells", {}, isObject), print.integer("bits", 64, 1024, 256));
  const retention = part("retention", ["ttl_days", "half_life_days"]);
  const bits = print.integer("bits", 64, 1024, 256);
  require(bits % 64 === 0, "template-value");
  const template = {
    name: top.text("name"),
    description: top.text("description", ""),
    dataClass: top.choice("data_class", ["non_personal", "personal", "undeclared"], "undeclared"),
    situation: readNamed(top.get("situation", REQUIRED, isObject), readField),
    action: Object.hasOwn(data, "action") ? readAction(data.action) : undefined,
    outcome: readOutcome(top.get("outcome", REQUIRED, isObject)),
    conditions: readNamed(top.get("conditions", {}, isObject), (name, value) => {
      require(isTitle(name), "template-name", name);
      return { name, levels: new Table(value, ["levels"]).levels(1) };
    }),
    fingerprint: {
      bits,
      salt: print.integer("salt", 0, 2 ** 32 - 1, 0),
      sketch: print.get("sketch", false, (value) => typeof value === "boolean"),
    },
    cells,
    profile: part("privacy", ["profile"]).choice("profile", PROFILES, "open"),
    ttlDays: retention.integer("ttl_days", 1, 3650, 365),
    halfLifeDays: retention.integer("half_life_days", 0, 36500, 0),
  };
  require(/^[a-z0-9-]{1,64}$/.test(template.name), "template-name");
  const { description } = template;
  require(length(description) <= 4096 && !hasControls(description.replaceAll("\n", "")), "template-value");
  template.width = template.situation.reduce((sum, field) => sum + sizeOf(field) + hasIndicator(field), 0);
  checkNames(template);
  checkSizes(template);
  return { ...template, ...identified(template) };
}

function readAction(data) {
  const table = new Table(data, ["name", "levels"]);
  return { name: table.title("name", "action"), levels: table.levels(1) };
}

// Section 3: one text for one meaning.
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const keys = Object.keys(value).filter((key) => value[key] !== undefined).sort(byCodePoint);
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
}

const named = (parts, tree) => Object.fromEntries(parts.map((part) => [part.name, tree(part)]));
const rangeTree = (range) => range?.map((end) => plainDecimal(end));

function identified(template) {
  const { name, description, situation, action, outcome, conditions, profile } = template;
  const fields = named(situation, ({ name: _, ...field }) => ({
    ...field,
    range: rangeTree(field.range),
    weight: plainDecimal(field.weight),
  }));
  const { bits, salt, sketch } = template.fingerprint;
  const text = canonical({
    format: 1,
    name,
    description,
    data_class: template.dataClass,
    situation: fields,
    action,
    outcome: { ...outcome, range: rangeTree(outcome.range) },
    conditions: named(conditions, ({ levels }) => ({ levels })),
    fingerprint: { bits, encoder: 1, salt, sketch },
    cells: { ...template.cells, group_bits: template.cells.group_bits || undefined },
    privacy: { profile },
    retention: { ttl_days: template.ttlDays, half_life_days: template.halfLifeDays },
  });
  const idOf = (data) => toHex(blake2s(new TextEncoder().encode(data), { size: 16 }));
  const space = canonical({ bits, encoder: 1, salt, situation: fields });
  return { canonical: text, templateId: idOf(text), spaceId: idOf(space) };
}

export const checks = {
  "template-read": ({ template }) => {
    const read = readTemplate(template);
    require(readTemplate(read.canonical).canonical === read.canonical, "template-syntax", "not canonical");
    return {
      canonical: read.canonical,
      template_id: read.templateId,
      space_id: read.spaceId,
      encoded_width: read.width,
    };
  },
};

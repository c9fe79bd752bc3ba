// Checks all test vectors of the specification: node spec/readers/js/check.mjs [FOLDER or FILE ...]
// Prints a line for each vector that fails, then the sums; exits with 1 if one failed or there was none.

import { readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";

import { Refusal } from "./bytes.mjs";
import { checks as encodeChecks } from "./encode.mjs";
import { checks as fingerprintChecks } from "./fingerprint.mjs";
import { checks as packetChecks } from "./packet.mjs";
import { checks as templateChecks } from "./template.mjs";

// A module of a reader exports `checks`: for each kind of vector a function from `input` to what `expect` should be.
// It throws a Refusal for what the specification refuses.
const CHECKS = { ...packetChecks, ...templateChecks, ...encodeChecks, ...fingerprintChecks };

function filesIn(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).filter((name) => name.endsWith(".json")).sort().map((name) => join(path, name));
}

// What is wrong with a vector, or an empty string.
function problemOf({ kind, input, expect }) {
  if (!Object.hasOwn(CHECKS, kind)) return `no reader for kind ${kind}`;
  let result;
  try {
    result = CHECKS[kind](input);
  } catch (error) {
    result = error instanceof Refusal ? { error: error.code } : { crash: String(error.stack ?? error) };
  }
  if (isDeepStrictEqual(result, expect)) return "";
  return `expected ${shortened(expect)}, got ${result.crash ?? shortened(result)}`;
}

const shortened = (value) => {
  const text = JSON.stringify(value);
  return text.length > 600 ? `${text.slice(0, 600)}…` : text;
};

function main(paths) {
  const names = new Set();
  let passed = 0, failed = 0;
  for (const file of paths.flatMap(filesIn)) {
    for (const vector of JSON.parse(readFileSync(file, "utf8"))) {
      const problem = names.has(vector.name) ? "the name is taken by another vector" : problemOf(vector);
      names.add(vector.name);
      if (problem) {
        failed += 1;
        console.log(`FAILED ${file}: ${vector.name}: ${problem}`);
      } else {
        passed += 1;
      }
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed || !passed ? 1 : 0;
}

const here = dirname(fileURLToPath(import.meta.url));
const paths = process.argv.slice(2);
process.exitCode = main(paths.length ? paths : [join(here, "..", "..", "vectors")]);

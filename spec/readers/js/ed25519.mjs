// Ed25519 with the rules of outcome-packet.md, section 8. Node (OpenSSL) checks the equation; what it is lax about is
// checked here first.

import { createPrivateKey, createPublicKey, sign as cryptoSign, verify as cryptoVerify } from "node:crypto";

const PRIME = 2n ** 255n - 19n;
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

const SMALL_ORDER_Y = [
  0n,
  1n,
  PRIME - 1n,
  2707385501144840649318225287225658788936804267575313519463743609750303402022n,
  55188659117513257062467267217118295137698188065244968500265048394206261417927n,
];

function littleEndian(bytes) {
  let value = 0n;
  for (const byte of Array.from(bytes).reverse()) value = (value << 8n) | BigInt(byte);
  return value;
}

function power(base, exponent) {
  let result = 1n;
  for (let factor = base % PRIME; exponent; exponent >>= 1n, factor = (factor * factor) % PRIME) {
    if (exponent & 1n) result = (result * factor) % PRIME;
  }
  return result;
}

const inverse = (value) => power(value, PRIME - 2n);
const D = ((PRIME - 121665n) * inverse(121666n)) % PRIME;
const yOf = (bytes) => littleEndian(bytes) & (2n ** 255n - 1n);
const hasSmallOrder = (y) => SMALL_ORDER_Y.includes(y % PRIME);

// Whether some x satisfies -x^2 + y^2 = 1 + d x^2 y^2, that is, whether (y^2 - 1) / (d y^2 + 1) is a square or zero.
function isOnCurve(y) {
  const square = (y * y) % PRIME;
  const ratio = ((square + PRIME - 1n) * inverse((D * square + 1n) % PRIME)) % PRIME;
  return power(ratio, (PRIME - 1n) / 2n) <= 1n;
}

export function isUsableKey(key) {
  const y = yOf(key);
  return y < PRIME && !hasSmallOrder(y) && isOnCurve(y);
}

export function signatureHolds(message, signature, key) {
  if (littleEndian(signature.subarray(32)) >= ORDER) return false;
  if (hasSmallOrder(yOf(signature.subarray(0, 32)))) return false;
  if (!isUsableKey(key)) return false;
  const x = Buffer.from(key).toString("base64url");
  const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  return cryptoVerify(null, message, publicKey, signature);
}

// RFC 8410, section 7: a PKCS #8 private key is this prefix and the seed.
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");

export function sign(message, seed) {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: "der", type: "pkcs8" });
  return new Uint8Array(cryptoSign(null, message, key));
}

// Sealed payloads: outcome-packet.md, section 5. Node (OpenSSL) has HKDF and AES-GCM.

import { createDecipheriv, hkdfSync } from "node:crypto";

import { blake2s } from "./blake2s.mjs";
import { Refusal, equal, fromHex, joined, require, toHex } from "./bytes.mjs";
import { readPlaintext } from "./payload.mjs";

const HEADER_SIZE = 77, COMMITMENT_SIZE = 16, TAG_SIZE = 16, NONCE_SIZE = 12;

const text = (words) => new TextEncoder().encode(words);

// The nonce of AES-GCM, then the commitment.
const restOf = (secret) => blake2s(text("fingerpost seal v1 nonce"), { key: secret, size: NONCE_SIZE + COMMITMENT_SIZE });

export function sealKeys({ epoch_key: epochKey, template_id: templateId, emitter, nonce }) {
  const info = joined(text("fingerpost seal v1 emitter"), fromHex(emitter));
  const emitterKey = new Uint8Array(hkdfSync("sha256", fromHex(epochKey), fromHex(templateId), info, 32));
  const secret = blake2s(joined(text("fingerpost seal v1 packet"), fromHex(nonce)), { key: emitterKey });
  const commitment = restOf(secret).subarray(NONCE_SIZE);
  return { emitter_key: toHex(emitterKey), secret: toHex(secret), commitment: toHex(commitment) };
}

function decrypted(body, secret) {
  const rest = restOf(secret), sealed = body.subarray(HEADER_SIZE);
  require(equal(rest.subarray(NONCE_SIZE), sealed.subarray(0, COMMITMENT_SIZE)), "seal-closed", "the commitment");
  const key = blake2s(text("fingerpost seal v1 key"), { key: secret });
  const cipher = createDecipheriv("aes-256-gcm", key, rest.subarray(0, NONCE_SIZE));
  cipher.setAAD(body.subarray(0, HEADER_SIZE));
  cipher.setAuthTag(sealed.subarray(sealed.length - TAG_SIZE));
  const plain = cipher.update(sealed.subarray(COMMITMENT_SIZE, sealed.length - TAG_SIZE));
  try {
    cipher.final();
  } catch {
    throw new Refusal("seal-closed", "the tag");
  }
  return new Uint8Array(plain);
}

// Throws a Refusal unless the secret opens the body of a packet and what comes out is a payload.
export function openPayload(body, secret) {
  const plain = decrypted(body, secret);
  try {
    return readPlaintext(plain);
  } catch (error) {
    throw error instanceof Refusal ? new Refusal("seal-closed", error.code) : error;
  }
}

// Outcome packets: read, write, identify, sign and verify. Written from outcome-packet.md.

import { blake2s } from "./blake2s.mjs";
import { Cursor, Writer, equal, fromHex, isZero, joined, require, toHex } from "./bytes.mjs";
import { isUsableKey, sign, signatureHolds } from "./ed25519.mjs";
import { readPayload, readPlaintext, writePayload } from "./payload.mjs";
import { openPayload, sealKeys } from "./seal.mjs";

const PACKET_SIZE = 512, BODY_SIZE = 317, PAYLOAD_SIZE = 240, PLAINTEXT_SIZE = 208, NODE_SIZE = 16, PATH_ENTRIES = 8;
const MAGIC = new TextEncoder().encode("FP");
const VERSION = 1;
const CONTEXT = new TextEncoder().encode("fingerpost batch v1");
const OBSERVATION = 1, SUMMARY = 2, WITHDRAWAL = 5;
const OPEN = 0, CONSORTIUM = 1;

// Section 3: what goes with each kind.
const KINDS = {
  1: { profiles: [0, 1], forms: [1, 2] },
  2: { profiles: [0, 1, 2], forms: [3, 4] },
  3: { profiles: [0, 1, 3], forms: [5] },
  4: { profiles: [4], forms: [6, 7] },
  5: { profiles: [0, 1, 2, 3, 4], forms: [8] },
};

const isSealed = (kind, profile) => profile === CONSORTIUM && kind !== WITHDRAWAL;

export function decode(bytes) {
  require(bytes.length === PACKET_SIZE, "packet-length", `${bytes.length} bytes`);
  const cursor = new Cursor(bytes);
  require(equal(cursor.take(2), MAGIC), "packet-magic");
  require(cursor.u8() === VERSION, "packet-version");
  const kind = cursor.u8(), profile = cursor.u8();
  require(KINDS[kind], "packet-kind", `kind ${kind}`);
  require(KINDS[kind].profiles.includes(profile), "packet-profile", `kind ${kind} under profile ${profile}`);
  const epoch = cursor.u16(), days = cursor.u16();
  require(days >= 1 && days <= 3650, "packet-ttl", `${days} days`);
  const packet = {
    kind,
    profile,
    epoch,
    ttl_days: days,
    cell: cursor.u32(),
    template_id: toHex(cursor.take(16)),
    nonce: toHex(cursor.take(16)),
    emitter: toHex(cursor.take(32)),
  };
  const payload = cursor.take(PAYLOAD_SIZE);
  packet.payload = isSealed(kind, profile) ? { sealed: toHex(payload) } : readPayloadOf(packet, payload);
  Object.assign(packet, readProof(cursor));
  return packet;
}

function readPayloadOf({ kind, profile }, bytes) {
  const payload = readPayload(bytes);
  const { fingerprint, sketch, conditions, action, confidence, outcome } = payload;
  require(KINDS[kind].forms.includes(outcome.form), "packet-outcome", `form ${outcome.form} in kind ${kind}`);
  if (kind === OBSERVATION || kind === SUMMARY) require(fingerprint !== "", "packet-payload", "no fingerprint");
  if (kind === WITHDRAWAL) {
    const empty = fingerprint === "" && sketch === "" && !conditions.length && action === 0 && confidence === 0;
    require(empty, "packet-payload", "a withdrawal that says more");
  }
  require(sketch === "" || profile === OPEN, "packet-profile", "a sketch in clear");
  return payload;
}

const depthOf = (last) => (last === 0 ? 0 : last.toString(2).length);

function readProof(cursor) {
  const index = cursor.u8(), depth = cursor.u8(), last = cursor.u8();
  require(depth === depthOf(last), "packet-proof", "depth");
  require(index <= last, "packet-proof", "leaf index");
  const path = [];
  for (let level = 0; level < PATH_ENTRIES; level++) {
    const entry = cursor.take(NODE_SIZE);
    const exists = level < depth && ((index >> level) ^ 1) <= last >> level;
    require(exists || isZero(entry), "packet-proof", `entry ${level} stands for nothing`);
    if (level < depth) path.push(toHex(entry));
  }
  return { leaf_index: index, leaf_last: last, path, signature: toHex(cursor.take(64)) };
}

export function encode(packet) {
  const writer = new Writer()
    .bytes(MAGIC).u8(VERSION).u8(packet.kind).u8(packet.profile)
    .u16(packet.epoch).u16(packet.ttl_days).u32(packet.cell)
    .bytes(fromHex(packet.template_id)).bytes(fromHex(packet.nonce)).bytes(fromHex(packet.emitter))
    .bytes(packet.payload.sealed ? fromHex(packet.payload.sealed) : writePayload(packet.payload, PAYLOAD_SIZE))
    .u8(packet.leaf_index).u8(packet.path.length).u8(packet.leaf_last);
  for (let level = 0; level < PATH_ENTRIES; level++) {
    writer.bytes(packet.path[level] ? fromHex(packet.path[level]) : new Uint8Array(NODE_SIZE));
  }
  return writer.bytes(fromHex(packet.signature)).done();
}

export const bodyOf = (bytes) => bytes.subarray(0, BODY_SIZE);
export const packetId = (body) => blake2s(body);
export const nodeId = (key) => blake2s(key);

const leafOf = (body) => packetId(body).subarray(0, NODE_SIZE);
const emitterOf = (body) => body.subarray(45, 77);

const innerNode = (level, position, left, right) =>
  blake2s(joined([1, level, position], left, right), { size: NODE_SIZE });

// Section 7: node(level, position) of the tree over `leaves`, computed downwards as the formula reads.
function nodeAt(leaves, level, position) {
  if (position > (leaves.length - 1) >> level) return new Uint8Array(NODE_SIZE);
  if (level === 0) return leaves[position];
  const left = nodeAt(leaves, level - 1, 2 * position), right = nodeAt(leaves, level - 1, 2 * position + 1);
  return innerNode(level, position, left, right);
}

const pathOf = (leaves, index) =>
  Array.from({ length: depthOf(leaves.length - 1) }, (_, level) => nodeAt(leaves, level, (index >> level) ^ 1));

const rootOf = (leaves) => nodeAt(leaves, depthOf(leaves.length - 1), 0);

const messageOf = (root, last) => joined(CONTEXT, root, [depthOf(last), last]);

// Signs bodies of one emitter as one batch and returns the packets.
export function signBatch(bodies, seed) {
  const leaves = bodies.map(leafOf), last = bodies.length - 1;
  const signature = sign(messageOf(rootOf(leaves), last), seed);
  return bodies.map((body, index) => {
    const path = joined(...pathOf(leaves, index), new Uint8Array(NODE_SIZE * (PATH_ENTRIES - depthOf(last))));
    return joined(body, [index, depthOf(last), last], path, signature);
  });
}

// Throws a Refusal unless the emitter signed the batch that the packet is in.
export function verify(bytes) {
  const { leaf_index: index, leaf_last: last, path, signature } = decode(bytes);
  const body = bodyOf(bytes);
  const root = path.reduce((node, sibling, below) => {
    const position = index >> below, other = fromHex(sibling);
    return position % 2 ? innerNode(below + 1, position >> 1, other, node) : innerNode(below + 1, position >> 1, node, other);
  }, leafOf(body));
  require(isUsableKey(emitterOf(body)), "packet-key");
  require(signatureHolds(messageOf(root, last), fromHex(signature), emitterOf(body)), "packet-signature");
}

// What each kind of vector asks, in the shapes of vectors/README.md.
export const checks = {
  blake2s: ({ data, key, size }) => ({ digest: toHex(blake2s(fromHex(data), { size, key: fromHex(key) })) }),
  "packet-decode": ({ packet }) => {
    const bytes = fromHex(packet);
    const fields = decode(bytes);
    if (!equal(encode(fields), bytes)) throw new Error("writing the fields gives other bytes");
    return { fields, packet_id: toHex(packetId(bodyOf(bytes))), node_id: toHex(nodeId(fromHex(fields.emitter))) };
  },
  "payload-decode": ({ payload }) => {
    const bytes = fromHex(payload);
    const fields = readPlaintext(bytes);
    if (!equal(writePayload(fields, PLAINTEXT_SIZE), bytes)) throw new Error("writing the payload gives other bytes");
    return { payload: fields };
  },
  "seal-keys": (input) => sealKeys(input),
  "packet-open": ({ packet, secret }) => {
    const bytes = fromHex(packet);
    require(decode(bytes).payload.sealed, "seal-closed", "not sealed");
    return { payload: openPayload(bodyOf(bytes), fromHex(secret)) };
  },
  "packet-verify": ({ packet }) => {
    verify(fromHex(packet));
    return { valid: true };
  },
  "packet-id": ({ packet }) => ({ packet_id: toHex(packetId(bodyOf(fromHex(packet)))) }),
  "node-id": ({ public_key: key }) => ({ node_id: toHex(nodeId(fromHex(key))) }),
  "batch-tree": ({ leaves, leaf_index: index }) => {
    const bytes = leaves.map(fromHex);
    const root = rootOf(bytes);
    return { root: toHex(root), path: pathOf(bytes, index).map(toHex), message: toHex(messageOf(root, leaves.length - 1)) };
  },
  "packet-sign": ({ seed, bodies }) => ({ packets: signBatch(bodies.map(fromHex), fromHex(seed)).map(toHex) }),
};

// BLAKE2s as RFC 7693 defines it, with any digest size and a key; Node's own crypto offers neither.

const BLOCK_SIZE = 64;

const START = Uint32Array.of(
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
);

// Section 2.7: the order of the message words in each of the ten rounds.
const ORDER = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

// The four columns of the 4 x 4 state, then its four diagonals.
const QUARTERS = [
  [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
  [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
];

const rotatedRight = (word, bits) => (word >>> bits) | (word << (32 - bits));

function compress(chain, block, bytesSoFar, isLast) {
  const message = new Uint32Array(16);
  const view = new DataView(block.buffer, block.byteOffset, BLOCK_SIZE);
  for (let word = 0; word < 16; word++) message[word] = view.getUint32(4 * word, true);

  const state = new Uint32Array(16);
  state.set(chain, 0);
  state.set(START, 8);
  state[12] ^= bytesSoFar % 2 ** 32;
  state[13] ^= Math.floor(bytesSoFar / 2 ** 32);
  if (isLast) state[14] ^= 0xffffffff;

  for (const order of ORDER) {
    QUARTERS.forEach(([a, b, c, d], quarter) => {
      for (const [word, first, second] of [[order[2 * quarter], 16, 12], [order[2 * quarter + 1], 8, 7]]) {
        state[a] += state[b] + message[word];
        state[d] = rotatedRight(state[d] ^ state[a], first);
        state[c] += state[d];
        state[b] = rotatedRight(state[b] ^ state[c], second);
      }
    });
  }
  for (let word = 0; word < 8; word++) chain[word] ^= state[word] ^ state[word + 8];
}

// The digest of `data` (a Uint8Array) in `size` bytes, 1 to 32; `key` has at most 32 bytes, none for no key.
export function blake2s(data, { size = 32, key = new Uint8Array() } = {}) {
  if (size < 1 || size > 32 || key.length > 32) throw new RangeError("BLAKE2s: digest of 1 to 32 bytes, key of 0 to 32");
  const input = new Uint8Array((key.length ? BLOCK_SIZE : 0) + data.length);
  input.set(key, 0);
  input.set(data, key.length ? BLOCK_SIZE : 0);

  const chain = Uint32Array.from(START);
  chain[0] ^= 0x01010000 ^ (key.length << 8) ^ size;
  const blocks = Math.max(1, Math.ceil(input.length / BLOCK_SIZE));
  for (let index = 0; index < blocks; index++) {
    const block = new Uint8Array(BLOCK_SIZE);
    block.set(input.subarray(index * BLOCK_SIZE, (index + 1) * BLOCK_SIZE));
    const isLast = index === blocks - 1;
    compress(chain, block, isLast ? input.length : (index + 1) * BLOCK_SIZE, isLast);
  }
  const digest = new Uint8Array(32);
  const view = new DataView(digest.buffer);
  chain.forEach((word, index) => view.setUint32(4 * index, word, true));
  return digest.slice(0, size);
}

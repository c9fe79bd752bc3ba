// The integer logarithm of fingerprint.md, section 5.

import { compare, fraction, isqrt, multiply, power } from "./decimal.mjs";

const P = 128n, BITS = 62n;

function makeBreakpoints() {
  const roots = [2n << P];
  for (let i = 1; i <= 8; i++) roots.push(isqrt(roots[i - 1] << P));
  return Array.from({ length: 256 }, (_, j) => {
    let t = 1n << P;
    for (let i = 1; i <= 8; i++) if ((j >> (8 - i)) & 1) t = (t * roots[i]) >> P;
    return t >> (P - BITS);
  });
}

export const breakpoints = makeBreakpoints();

// 256 steps an octave, for a positive fraction.
export function steps(value) {
  let octave = BigInt(value.n.toString(2).length - value.d.toString(2).length);
  if (compare(value, power(2n, octave)) < 0) octave -= 1n;
  const reached = multiply(value, power(2n, BITS - octave));
  let step = 255;
  while (compare(fraction(breakpoints[step]), reached) > 0) step--;
  return 256n * octave + BigInt(step);
}

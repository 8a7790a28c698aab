/**
 * Which key is wanted next, when some are wanted more than others: rank k of n with probability k^-s / sum(i^-s).
 *
 * Rejection-inversion: W. Hörmann, G. Derflinger, "Rejection-inversion to generate variates from monotone discrete
 * distributions", ACM TOMACS 6(3), 1996, 169-184. Exact for every s >= 0, without tables, at about one try a sample.
 *
 * The histogram of h(k) = k^-s is covered by the area under the continuous h over [0.5, n + 0.5]. A point is drawn
 * uniformly from that area by inverting H, the integral of h; it falls over the bar of the nearest whole number k, and is
 * taken if it is within the part of the area, h(k) large, that stands for this bar.
 */
export function zipfSampler(keys: number, exponent: number, random: () => number): () => number {
  if (!Number.isSafeInteger(keys) || keys < 1) throw new RangeError(`keys: a whole number from 1, not ${keys}`);
  if (!(exponent >= 0 && exponent < Infinity)) throw new RangeError(`exponent: from 0, not ${exponent}`);

  const h = (x: number) => Math.exp(-exponent * Math.log(x));
  // (x^(1-s) - 1) / (1-s), and log x for s = 1, without the cancellation near it.
  const H = (x: number) => {
    const log = Math.log(x);
    return expm1Over((1 - exponent) * log) * log;
  };
  const inverseOfH = (y: number) => {
    // Rounding must not take the logarithm of less than nothing.
    const t = Math.max(-1, y * (1 - exponent));
    return Math.exp(log1pOver(t) * y);
  };

  // The first bar is cut to the area that it needs, h(1) = 1.
  const from = H(1.5) - 1;
  const to = H(keys + 0.5);
  // Points no further left of k than this are over k's part of the area, whatever k.
  const surelyWithin = 2 - inverseOfH(H(2.5) - h(2));

  return () => {
    for (;;) {
      const y = to + random() * (from - to);
      const x = inverseOfH(y);
      const k = Math.min(keys, Math.max(1, Math.round(x)));
      if (k - x <= surelyWithin || y >= H(k + 0.5) - h(k)) return k;
    }
  };
}

/** (e^x - 1) / x, continued at 0. */
function expm1Over(x: number): number {
  return x === 0 ? 1 : Math.expm1(x) / x;
}

/** log(1 + x) / x, continued at 0. */
function log1pOver(x: number): number {
  return x === 0 ? 1 : Math.log1p(x) / x;
}

/** How one figure grows with another: the power that fits best. */

/** Within so much of 0 or of 1 it is that. */
const NEAR = 0.1;

/**
 * The exponent b of y = a x^b, by least squares of the logarithms.
 * @param points at least two different x; every x and y above 0. Nothing for others.
 */
export function exponentOf(points: readonly (readonly [x: number, y: number])[]): number | undefined {
  if (points.some(([x, y]) => !(x > 0) || !(y > 0))) return undefined;
  const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)] as const);
  const mean = (of: 0 | 1) => logs.reduce((sum, log) => sum + log[of], 0) / logs.length;
  const [meanX, meanY] = [mean(0), mean(1)];
  const spread = logs.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  if (!(spread > 0)) return undefined;
  return logs.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread;
}

/** `grows in proportion to shards (exponent 1.02)` */
export function growthWords(exponent: number, of: string): string {
  const told = `(exponent ${exponent.toFixed(2)})`;
  if (Math.abs(exponent) < NEAR) return `hardly changes with ${of} ${told}`;
  if (Math.abs(exponent - 1) <= NEAR) return `grows in proportion to ${of} ${told}`;
  if (exponent > 1) return `grows faster than ${of} ${told}`;
  return exponent > 0 ? `grows more slowly than ${of} ${told}` : `falls with ${of} ${told}`;
}

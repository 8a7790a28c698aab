/** Figures that cannot be right: every number that is not finite, or below 0, by where it stands. */
export function oddNumbers(value: unknown, path: readonly string[]): string[] {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? [] : [`${path.join('.')}: ${value}`];
  if (typeof value !== 'object' || value === null || value instanceof Date) return [];
  return Object.entries(value).flatMap(([key, inner]) => oddNumbers(inner, [...path, key]));
}

// The demo's rows are the same on every machine and at every start.

export interface SeededRandom {
  /** 0 <= x < below */
  below(below: number): number;
  oneOf<Item>(items: readonly [Item, ...Item[]]): Item;
  bytes(length: number): Buffer;
}

export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  // A linear congruential generator with the multiplier and increment of Numerical Recipes (2nd ed., 7.1). Its low bits have
  // short periods, so only the high ones are used.
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const below = (bound: number): number => Math.floor(next() * bound);
  return {
    below,
    oneOf: ([first, ...others]) => {
      const index = below(others.length + 1);
      return index === 0 ? first : (others[index - 1] ?? first);
    },
    bytes: (length) => Buffer.from(Array.from({ length }, () => below(256))),
  };
}

import type { TestContext } from 'node:test';

const LINES_MAX = 40;

/** What was logged on the way, where the test has failed: a failure that comes once in a hundred runs is seen once. */
export function tellOnFailure(t: TestContext, logged: () => readonly string[]): void {
  const { passed } = t as TestContext & { readonly passed: boolean };
  if (!passed) for (const line of logged().slice(-LINES_MAX)) t.diagnostic(line);
}

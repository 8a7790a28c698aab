/** What was logged on the way, where a test has failed: a failure that comes once in a hundred runs is seen once. */
import type { TestContext } from 'node:test';

const LINES_MAX = 40;

/** For an `afterEach`: within a test it is not known yet. */
export function tellOnFailure(t: TestContext, logged: () => readonly string[]): void {
  const { passed } = t as TestContext & { readonly passed: boolean };
  if (!passed) for (const line of logged().slice(-LINES_MAX)) t.diagnostic(line);
}

/** Within a test. @param told comes first, and whole. */
export async function tellIfItFails(
  t: TestContext,
  told: () => Promise<string>,
  logged: () => readonly string[],
  run: () => Promise<void>,
): Promise<void> {
  try {
    await run();
  } catch (error) {
    t.diagnostic(await told().catch(String));
    for (const line of logged().slice(-LINES_MAX)) t.diagnostic(line);
    throw error;
  }
}

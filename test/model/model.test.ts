/**
 * The protocol under random schedules, on the real scripts: never stale, never backward, at rest right. Then with one
 * part of it left out at a time, each of which must show.
 *
 *     RINGFILL_SEED=…          the first round's seed; round n has seed + n
 *     RINGFILL_MODEL_ROUNDS=…  so many rounds of each, and none is cut short when it has turned red
 */
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Redis } from 'ioredis';
import { startRedis } from '../../stack/redis.ts';
import { temporaryFolder } from '../support/stack.ts';
import { MIRROR_MUTATIONS, MIRROR_SPARE } from './mirror-mutations.ts';
import type { Mistake } from './mistakes.ts';
import { MUTATIONS, SPARE } from './mutations.ts';
import type { Patch } from './patch.ts';
import type { Emphasis } from './schedule.ts';
import { type RoundsResult, runRounds } from './rounds.ts';
import { definePatchedScripts } from './scripts.ts';
import { patchedTrustRule, TRUST_RULE } from './trust-rule.ts';

const STEPS = 400;
const ROUNDS = 150;
/** That a part is spare is no claim to be proved each time. */
const SPARE_ROUNDS = 12;
/** The rarest of the mutations that are run by default turns red in one round of about 115. */
const MUTATED_ROUNDS_MAX = 3_000;
const TRACE_LINES = 40;

const asked = process.env['RINGFILL_MODEL_ROUNDS'];
const seed = Number(process.env['RINGFILL_SEED'] ?? Math.floor(Math.random() * 2 ** 30));
process.stdout.write(`model: seed ${seed}\n`);

const folder = temporaryFolder();
const server = await startRedis({ folder, name: 'model' });
after(() => server.stop());

interface Part {
  readonly scripts?: readonly Patch[];
  readonly trust?: readonly Patch[];
  readonly mistake?: Mistake;
  readonly emphasis?: Emphasis;
}

async function run(part: Part, rounds: number, untilRed: boolean): Promise<RoundsResult> {
  const redis = new Redis(server.url, { enableAutoPipelining: true });
  try {
    definePatchedScripts(redis, part.scripts ?? []);
    const trust =
      part.trust === undefined ? TRUST_RULE : await patchedTrustRule(part.trust, mkdtempSync(join(folder, 'trust-')));
    const mistakes = new Set(part.mistake === undefined ? [] : [part.mistake]);
    return await runRounds({ redis, seed, rounds, steps: STEPS, mistakes, trust, emphasis: part.emphasis, untilRed });
  } finally {
    redis.disconnect();
  }
}

/** All that can happen to a request, to a message and to a snapshot: a round in which nothing happens proves nothing. */
const OUTCOMES = {
  cached: [
    'hit',
    'near hit',
    'collapsed',
    'a row',
    'a negative',
    'silent',
    'unproved',
    'lease: lease',
    'lease: busy',
    'lease: entry',
    'lease: off',
    'fill: stored',
    'fill: lost',
    'fill: off',
    'fill: early',
    'apply: applied',
    'apply: fenced',
    'apply: gap',
    'apply: forced',
    'at rest: right',
  ],
  mirrored: [
    'mirror: row',
    'mirror: no row',
    'mirror: unknown',
    'until lost: row',
    'until lost: no row',
    'snapshot: begun',
    'snapshot: off',
    'snapshot: lost',
    'snapshot: void',
    'snapshot: early',
    'snapshot: written',
    'snapshot: swept',
    'snapshot: behind',
    'snapshot: complete',
    'snapshot: left over',
    'snapshot: another server',
    'apply: applied',
    'apply: fenced',
    'apply: gap',
    'apply: forced',
    'at rest: right',
    'at rest: mirrored row right',
    'at rest: mirrored absence right',
  ],
};

for (const rows of ['cached', 'mirrored'] as const) {
  const title = `no schedule makes what counts of ${rows} rows stale, or an answer older than one before`;
  test(title, async (t) => {
    const { rounds, red, counts } = await run({ emphasis: { rows } }, Number(asked ?? ROUNDS), true);
    t.diagnostic(`${rounds} rounds of ${STEPS} steps; ${[...counts].map(([name, of]) => `${name} ${of}`).join(', ')}`);
    const [first] = red;
    if (first !== undefined) {
      assert.fail(`seed ${first.seed}: ${first.why}\n${first.trace.slice(-TRACE_LINES).join('\n')}`);
    }
    for (const outcome of OUTCOMES[rows]) {
      assert.ok((counts.get(outcome) ?? 0) > 0, `it never came to “${outcome}”`);
    }
  });
}

for (const mutation of [...MUTATIONS, ...MIRROR_MUTATIONS]) {
  const skip = mutation.rare === true && asked === undefined ? 'rare: give it RINGFILL_MODEL_ROUNDS' : false;
  test(`it shows when left out: ${mutation.name}`, { skip }, async (t) => {
    const { rounds, red } = await run(mutation, Number(asked ?? MUTATED_ROUNDS_MAX), asked === undefined);
    const [first] = red;
    t.diagnostic(`red in ${red.length} of ${rounds} rounds; seed ${first?.seed}: ${first?.why}`);
    assert.ok(first !== undefined, `${rounds} rounds went by as if nothing were missing`);
  });
}

for (const mutation of [...SPARE, ...MIRROR_SPARE]) {
  test(`it is kept for another reason than safety: ${mutation.name}`, async () => {
    const { red } = await run(mutation, Number(asked ?? SPARE_ROUNDS), true);
    assert.deepEqual(
      red.map(({ seed: at, why }) => `${at}: ${why}`),
      [],
    );
  });
}

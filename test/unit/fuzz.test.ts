/**
 * A small part of `npm run fuzz`: everything that decodes what others wrote, over the corpus and some thousands of inputs
 * made of it. RINGFILL_SEED repeats a run.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runTarget } from '../fuzz/run-target.ts';
import { TARGETS } from '../fuzz/targets.ts';

const seed = Number(process.env['RINGFILL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
process.stdout.write(`fuzz: seed ${seed}\n`);

for (const target of TARGETS) {
  test(`${target.name}: whatever is in it, it is read or refused`, () => {
    const { inputs } = runTarget(target, { seed, inputsMax: 5_000, secondsMax: 1 });
    assert.ok(inputs > 100, `${inputs} inputs`);
  });
}

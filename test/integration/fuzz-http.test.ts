/** A small part of `npm run fuzz`: requests of any kind on the real socket. RINGFILL_SEED repeats a run. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { httpSurface } from '../fuzz/http-surface.ts';
import { testStack } from '../support/stack.ts';

const seed = Number(process.env['RINGFILL_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
process.stdout.write(`fuzz-http: seed ${seed}\n`);
const stack = await testStack();

test('whatever comes in is answered or closed, never with a 5xx that the contract does not have', async () => {
  const { report, answers } = await httpSurface({ seed, inputsMax: 2_400, secondsMax: 15 }, stack);
  assert.ok(report.inputs > 400, `${report.inputs} inputs`);
  const kinds = new Set(answers.map(([answer]) => answer));
  for (const kind of ['200', 'bad-request', 'bad-id', 'table-not-exposed'])
    assert.ok(kinds.has(kind), `no ${kind} at all`);
});

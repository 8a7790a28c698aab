/** The sync worker's metrics: what only grows is a counter, and says what the statuses say. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StatusKeeper } from '../../sync-worker/apply/status.ts';
import { SyncWorkerTelemetry } from '../../sync-worker/telemetry.ts';

test('what apply has counted is shown as counters, once, however often it is asked for', async () => {
  const status = new StatusKeeper('r1', 'primary');
  const head = { plan: 1, from: '', to: '', asOf: 1, origin: '', gtid: '' };
  status.applied('', head, 3, 500);
  status.applied('', head, 0, 100);
  status.gaps = 4;
  status.fenced = 5;
  status.deadLetters = 6;
  const { registry } = new SyncWorkerTelemetry({ capture: () => undefined, shards: () => [status.read()] });
  await registry.metrics();
  const text = await registry.metrics();
  for (const [name, value] of [
    ['ringfill_applied_messages_total', 2],
    ['ringfill_applied_bytes_total', 600],
    ['ringfill_apply_gaps_total', 4],
    ['ringfill_apply_fenced_total', 5],
    ['ringfill_dead_letters_total', 6],
  ] as const) {
    assert.match(text, new RegExp(`^# TYPE ${name} counter$`, 'm'));
    assert.match(text, new RegExp(`^${name}\\{ring="primary",shard="r1"\\} ${value}$`, 'm'));
  }
});

/** What the broker holds, and what events are read from files: change batches, dead letters, events. */
import assert from 'node:assert/strict';
import type { GetMessage } from 'amqplib';
import { letterOf } from '../../../shared/broker/dead-letters.ts';
import { BatchUnreadable, decodeBatch } from '../../../shared/change/change-batch.ts';
import { requireRowKeys } from '../../../shared/change/own-keys.ts';
import { readEvent } from '../../../shared/event/event.ts';
import { describeVersion } from '../../../shared/version/version.ts';
import { nextEpoch, nextPlan } from '../../../sync-worker/capture/continuity/plan.ts';
import { epochOf, versionOf } from '../../../shared/version/version.ts';
import { type Target, unlessRefused } from '../target.ts';

const NOW = 1_795_000_000_000;
const VERSION = '179500000000000000010000000000013370000000000';

const changeBatch: Target = {
  name: 'change-batch',
  words: [
    VERSION,
    '\0\0\0\x02{}',
    '"format":1',
    '"changeTables":[',
    '"hole":[',
    '"oldest":{',
    '"floors":{',
    `W${VERSION}shape-010000`,
  ],
  run(input) {
    const batch = unlessRefused(() => decodeBatch(input), BatchUnreadable);
    if (batch === undefined) return;
    const { head, changes, changeTables } = batch;
    assert.ok(head.from <= head.to);
    describeVersion(head.to);
    nextPlan(NOW, head.plan);
    versionOf(nextEpoch(NOW, epochOf(head.to)), { file: 'mysql-bin.000001', position: 4 });
    JSON.parse(JSON.stringify({ ...head, changeTables, now: NOW }));
    for (const { table } of changes) assert.ok(table < changeTables.length);
    unlessRefused(() => requireRowKeys(changes, 'prefix:'), BatchUnreadable);
  },
};

const deadLetter: Target = {
  name: 'dead-letter',
  words: ['ringfill-queue', 'ringfill-why', 'ringfill-at', '\x1b[2J', '2026-11-22T10:00:00Z', '"messageId":'],
  run(input) {
    const letter = letterOf({ content: input, properties: propertiesIn(input) } as unknown as GetMessage);
    for (const text of [letter.id, letter.queue, letter.ring, letter.shard, letter.why]) {
      assert.doesNotMatch(text, /\p{Cc}/u);
      assert.ok(text.length <= 1_000);
    }
    letter.at.getTime();
  },
};

/** As the driver gives them: of any type that AMQP has. */
function propertiesIn(input: Buffer): unknown {
  try {
    const value: unknown = JSON.parse(input.toString('utf8'));
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return { headers: { 'ringfill-why': input.toString('latin1') }, messageId: input.toString('utf8') };
  }
}

const event: Target = {
  name: 'event',
  words: ['"eventType":"INSERT"', '"after":{', '"before":""', '"db":"', '\n', '\r', '"version":1', '{}'],
  run(input) {
    const read = readEvent(input.toString('utf8'));
    if (read.kind === 'event') assert.ok(Buffer.byteLength(read.routingKey) <= 255);
    else assert.ok(read.why.length < 100);
  },
};

export const MESSAGES: readonly Target[] = [changeBatch, deadLetter, event];

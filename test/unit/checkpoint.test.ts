/** The checkpoint on disk: whole or lost, never half; and written only for what is confirmed. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { versionOf } from '../../shared/version/version.ts';
import { ConfirmedFlushes } from '../../sync-worker/capture/continuity/checkpoint-confirmed.ts';
import {
  type Checkpoint,
  checkpointPath,
  CheckpointTaken,
  CheckpointWriter,
  readCheckpoint,
} from '../../sync-worker/capture/continuity/checkpoint.ts';
import { temporaryFolder } from '../support/stack.ts';

const place = { file: 'mysql-bin.000042', position: 4_711 };

function checkpointAt(position: number, plan = 7): Checkpoint {
  const at = { ...place, position };
  return {
    origin: 'mysql:3e11fa47-71ca-11e1-9e33-c80aa9429562',
    position: at,
    restart: { file: 'mysql-bin.000041', position: 4 },
    fileCreatedAt: 1_700_000_000,
    epoch: 1_795_000_000,
    plan,
    gtid: '3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5',
    to: versionOf(1_795_000_000, at),
    savedAt: 1_795_000_001_000,
  };
}

function writer(everyMs = 0) {
  const stateFolder = join(temporaryFolder(), 'state');
  const written: Checkpoint[] = [];
  const failures: unknown[] = [];
  const checkpoints = new CheckpointWriter({
    stateFolder,
    name: 'shop',
    everyMs,
    onWritten: (checkpoint) => written.push(checkpoint),
    onFailed: (error) => failures.push(error),
  });
  return { checkpoints, stateFolder, path: checkpointPath(stateFolder, 'shop'), written, failures };
}

describe('the file', () => {
  test('what is written is read again; before that there is none', async () => {
    const { checkpoints, stateFolder } = writer();
    assert.deepEqual(await checkpoints.read(), { kind: 'none' });
    checkpoints.save(checkpointAt(4_711));
    await checkpoints.flush();
    assert.deepEqual(await checkpoints.read(), { kind: 'found', checkpoint: checkpointAt(4_711) });
    assert.deepEqual(await readdir(stateFolder), ['shop.checkpoint.json']);
  });

  test('a torn write before the rename leaves the one before it; whatever does not decode counts as lost', async () => {
    const { checkpoints, stateFolder, path } = writer();
    await checkpoints.read();
    checkpoints.save(checkpointAt(1));
    await checkpoints.flush();
    const whole = await readFile(path, 'utf8');
    await writeFile(join(stateFolder, 'shop.checkpoint.json.999.new'), whole.slice(0, 50));
    assert.equal((await checkpoints.read()).kind, 'found');
    for (let length = 0; length < whole.trimEnd().length; length += 1) {
      await writeFile(path, whole.slice(0, length));
      assert.equal((await readCheckpoint(path)).kind, 'unreadable', `${length} bytes`);
    }
    await writeFile(path, Buffer.alloc(whole.length));
    assert.equal((await readCheckpoint(path)).kind, 'unreadable');
  });

  test('a field that does not fit makes it unreadable, and the reason names the field', async () => {
    const { path, stateFolder } = writer();
    await mkdir(stateFolder, { recursive: true });
    const wrong: Record<string, unknown> = {
      origin: '',
      position: { file: 'mysql-bin', position: 4 },
      restart: { file: 'mysql-bin.000001', position: -1 },
      fileCreatedAt: 1.5,
      epoch: 'soon',
      plan: null,
      gtid: undefined,
      to: versionOf(1, place),
      savedAt: '',
      format: 2,
    };
    for (const [field, value] of Object.entries(wrong)) {
      await writeFile(path, JSON.stringify({ format: 1, ...checkpointAt(4_711), [field]: value }));
      const found = await readCheckpoint(path);
      assert.ok(found.kind === 'unreadable' && found.why.includes(field), `${field}: ${JSON.stringify(found)}`);
    }
  });

  test('a file that may not be read is no lost checkpoint: nothing may be dropped for that', async () => {
    const { path } = writer();
    await mkdir(path, { recursive: true });
    await assert.rejects(readCheckpoint(path), { code: 'EISDIR' });
  });
});

describe('writing', () => {
  test('is paced, one at a time, and the newest wins', async () => {
    const { checkpoints, written } = writer(50);
    await checkpoints.read();
    const started = performance.now();
    for (let position = 1; performance.now() - started < 220; position += 1) {
      checkpoints.save(checkpointAt(position));
      await sleep(1);
    }
    checkpoints.save(checkpointAt(999_999));
    await checkpoints.flush();
    assert.ok(written.length >= 3 && written.length <= 7, String(written.length));
    assert.equal(written.at(-1)?.position.position, 999_999);
  });

  test('over the file of a higher plan it is refused: another capture has taken over', async () => {
    const { checkpoints, failures, written } = writer();
    await checkpoints.read();
    checkpoints.save(checkpointAt(5, 9));
    await checkpoints.flush();
    checkpoints.save(checkpointAt(6, 8));
    await checkpoints.flush();
    assert.ok(failures[0] instanceof CheckpointTaken);
    assert.equal(written.length, 1);
    const found = await checkpoints.read();
    assert.equal(found.kind === 'found' && found.checkpoint.plan, 9);
  });

  test('a failure is told, and the next one is tried all the same', async () => {
    const { checkpoints, stateFolder, failures, written } = writer();
    await checkpoints.read();
    await rm(stateFolder, { recursive: true });
    checkpoints.save(checkpointAt(1));
    await checkpoints.flush();
    assert.equal(failures.length, 1);
    await mkdir(stateFolder);
    checkpoints.save(checkpointAt(2));
    await checkpoints.flush();
    assert.equal(written.at(-1)?.position.position, 2);
  });
});

describe('what is confirmed', () => {
  test('a flush counts once every message up to and with it is confirmed, in whatever order that comes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constant('send'), fc.constant('close'), fc.nat({ max: 50 })), { maxLength: 120 }),
        (steps) => {
          const confirmed: number[] = [];
          const flushes = new ConfirmedFlushes<number>((place) => confirmed.push(place ?? -1));
          // The model: message -> the flush that it belongs to.
          const waiting: { flush: number; confirm: () => void }[] = [];
          let flush = 0;
          for (const step of steps) {
            if (step === 'send') waiting.push({ flush, confirm: flushes.sent() });
            else if (step === 'close') flushes.close(flush++);
            else if (waiting.length > 0) waiting.splice(Number(step) % waiting.length, 1)[0]?.confirm();
            const oldest = Math.min(flush, ...waiting.map((message) => message.flush));
            assert.equal(confirmed.at(-1) ?? -1, oldest - 1);
            assert.equal(flushes.unconfirmed, flush - oldest);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

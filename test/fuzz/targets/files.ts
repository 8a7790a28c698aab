/** What lies in files: the checkpoint, the configuration; and JSON columns of rows. */
import assert from 'node:assert/strict';
import { parseConfig } from '../../../shared/config/load.ts';
import { SetupError } from '../../../shared/errors/errors.ts';
import { minifyJson } from '../../../shared/row/minify-json.ts';
import { versionOf } from '../../../shared/version/version.ts';
import { decodeCheckpoint } from '../../../sync-worker/capture/continuity/checkpoint.ts';
import { nextPlan } from '../../../sync-worker/capture/continuity/plan.ts';
import { type Target, unlessRefused } from '../target.ts';

const NOW = 1_795_000_000_000;

const checkpoint: Target = {
  name: 'checkpoint',
  words: [
    '"format":1',
    '"mysql-bin.000001"',
    '"position":',
    '"gtid":null',
    '179500000000000000010000000000013370000000000',
  ],
  run(input) {
    // Whatever it throws is told, and the file counts as lost.
    const found = unlessRefused(() => decodeCheckpoint(JSON.parse(input.toString('utf8'))), Error);
    if (found === undefined) return;
    versionOf(found.epoch, found.position);
    versionOf(found.epoch, found.restart);
    assert.ok(Number.isSafeInteger(nextPlan(NOW, found.plan)));
  },
};

const SECRET = 'a-secret-value';
const env = { MYSQL_PASSWORD: SECRET, EMPTY: '' };

const config: Target = {
  name: 'config',
  words: [
    '${MYSQL_PASSWORD}',
    '${EMPTY:-',
    '${file:',
    '$${',
    '*a',
    '&a',
    '<<:',
    '? ',
    '- ',
    '!!js',
    '{',
    '}',
    '\t',
    '\n  ',
    ': ',
    '|',
    'mode: mirror',
    'sync:',
  ],
  bytesMax: 8_192,
  // An operator's own file, read once; deep nesting costs the YAML parser more than linear time.
  msMax: 2_000,
  run(input) {
    try {
      parseConfig(input.toString('utf8'), 'ringfill.yml', env);
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      assert.ok(!error.message.includes(SECRET), `it quotes a secret: ${error.message}`);
    }
  },
};

const jsonColumn: Target = {
  name: 'json-column',
  words: ['\\"', '\\\\', '"', ' ', '\n', '\t', '1.0', '12345678901234567890', '\\u0000', '\\ud800'],
  run(input) {
    const text = input.toString('utf8');
    const minified = minifyJson(text);
    if (minified === undefined) return;
    assert.deepEqual(JSON.parse(minified), JSON.parse(text));
    assert.ok(minified.length <= text.length);
  },
};

export const FILES: readonly Target[] = [checkpoint, config, jsonColumn];

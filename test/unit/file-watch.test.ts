/** Files that are replaced while we run, in the ways in which they are. */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { FileWatch } from '../../shared/lifecycle/file-watch.ts';
import { until } from '../support/broker.ts';
import { temporaryFolder } from '../support/stack.ts';

const folder = temporaryFolder();

test('a change is told of: written to, replaced by renaming, through a link above it, gone, and back', async () => {
  for (const [place, text] of [
    ['one', 'a'],
    ['two', 'b'],
  ] as const) {
    mkdirSync(join(folder, place));
    writeFileSync(join(folder, place, 'file'), text);
  }
  const link = join(folder, 'link');
  symlinkSync(join(folder, 'one'), link);
  const path = join(link, 'file');
  let told = 0;
  const watch = new FileWatch({ paths: [path], onChange: () => (told += 1), everyMs: 5 });
  const change = async (how: string, act: () => void) => {
    const before = told;
    act();
    await until(how, () => told > before);
  };
  await change('written to', () => writeFileSync(path, 'ab'));
  await change('the same size and time, another file', () => {
    writeFileSync(`${path}.new`, 'cd');
    utimesSync(`${path}.new`, 1, 1);
    renameSync(`${path}.new`, path);
  });
  await change('the link leads elsewhere', () => {
    symlinkSync(join(folder, 'two'), `${link}.new`);
    renameSync(`${link}.new`, link);
  });
  await change('gone', () => rmSync(path));
  await change('back', () => writeFileSync(path, 'b'));
  watch.stop();
  assert.ok(told >= 5);
});

test('a change between the beginning of the watch and the reading of the file is told of, not missed', async () => {
  const path = join(folder, 'early');
  writeFileSync(path, 'a');
  let told = 0;
  const watch = new FileWatch({ paths: [path], onChange: () => (told += 1), everyMs: 5 });
  writeFileSync(path, 'ab');
  await until('told', () => told === 1);
  watch.stop();
});

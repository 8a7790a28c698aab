import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { commandsNeeded } from '../../cli/check/check-shard.ts';
import type { Config } from '../../shared/config/schema.ts';

test('the Redis commands that `check` advises to allow are those that the scripts call', () => {
  const called = globSync('shared/shard/scripts/*.lua').flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/redis\.p?call\('([A-Z]+)'/g)].map(([, command = '']) => command),
  );
  assert.ok(called.length > 50, `${called.length} calls were found`);
  const allowed = new Set(commandsNeeded({ sync: {} as NonNullable<Config['sync']> }));
  assert.deepEqual(
    [...new Set(called)].filter((command) => !allowed.has(command.toLowerCase())),
    [],
  );
});

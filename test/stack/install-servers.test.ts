import assert from 'node:assert/strict';
import { test } from 'node:test';
import { adviceFor } from '../../stack/install-servers.ts';

test('where servers cannot be installed, the exact command is given, and the way with Docker', () => {
  const advice = {
    debian: adviceFor(['mysql', 'redis', 'rabbitmq'], 'debian'),
    fedora: adviceFor(['redis', 'rabbitmq'], 'fedora'),
    macos: adviceFor(['mysql'], 'macos'),
  };
  assert.match(
    advice.debian,
    /apt-get install -y --no-install-recommends mariadb-server redis-server rabbitmq-server$/m,
  );
  assert.match(advice.fedora, /sudo dnf install -y redis rabbitmq-server$/m);
  assert.match(advice.macos, /brew install mariadb$/m);
  for (const text of Object.values(advice)) assert.match(text, /docker compose -f deploy\/compose\.yaml up/);
});

/** The configuration: what is refused, in which words, and on which line. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig, parseConfig } from '../../shared/config/load.ts';
import { ConfigSchema } from '../../shared/config/schema.ts';
import { type Problem, SetupError } from '../../shared/errors/errors.ts';
import { temporaryFolder } from '../support/stack.ts';

const VALID = `
origin:
  url: mysql://ringfill:\${PASSWORD:-none}@127.0.0.1:3306
rings:
  - name: primary
    shards:
      r1: redis://127.0.0.1:6379
tables:
  shop.orders: {}
`;

function problemsOf(text: string, env: NodeJS.ProcessEnv = {}): readonly Problem[] {
  try {
    parseConfig(text, 'ringfill.yml', env);
  } catch (error) {
    if (error instanceof SetupError) return error.problems;
    throw error;
  }
  throw new Error('it was accepted');
}

/** The ring with former definitions of these shards, one a line from the ninth on. */
function formerly(...shards: readonly string[]): string {
  const lines = shards.map((one) => `      - shards: ${one}\n`).join('');
  return VALID.replace('tables:', `    former:\n${lines}tables:`);
}

const SYNC = "sync:\n  broker: {url: 'amqp://b'}\n";

function only(text: string, env: NodeJS.ProcessEnv = {}): Problem {
  const [first, ...rest] = problemsOf(text, env);
  assert.deepEqual(rest, []);
  return first as Problem;
}

test('what is not said has its default', () => {
  const config = parseConfig(VALID, 'ringfill.yml', {});
  assert.deepEqual(config.http, {
    host: '127.0.0.1',
    port: 8080,
    drainMs: 0,
    stopTimeoutMs: 5_000,
    publicWithoutAuthentication: false,
    connectionsMax: 10_000,
    receiveTimeoutMs: 10_000,
    keepAliveTimeoutMs: 72_000,
    sendTimeoutMs: 30_000,
    unsentMebibytesMax: 256,
    trustedProxies: [],
  });
  assert.equal(config.access, undefined);
  assert.equal(config.origin.timeoutMs, 2_000);
  assert.equal(config.shards.timeoutMs, 250);
  assert.equal(config.keyPrefix, '');
  assert.equal(config.log.level, 'info');
  assert.deepEqual(config.defaults, {
    mode: 'read-through',
    fallbackTtlSeconds: 3_600,
    warmOneIn: 10,
    onIncomplete: 'unavailable',
    ttlSeconds: 300,
    graceSeconds: 3_600,
    negativeTtlSeconds: 30,
    ttlJitterPercent: 10,
    rowBytesMax: 1_048_576,
    leaseWaitMs: 500,
    follow: true,
    strategy: 'overwrite',
    onSyncLost: 'serve',
    followedTtlSeconds: 86_400,
    near: true,
  });
});

test('a host that others reach is refused without access, with the line that mends it, unless it is said to be meant', () => {
  for (const host of ['0.0.0.0', '::', '10.1.2.3', 'gateway.example']) {
    const { code, where, mend } = only(`${VALID}http:\n  host: '${host}'\n`);
    assert.deepEqual([code, where], ['public-without-access', 'ringfill.yml:11: http.host']);
    assert.match(
      mend ?? '',
      /access: \{keysFile: keys\.json\}.*ringfill key create.*publicWithoutAuthentication: true/,
    );
    for (const mended of [
      'access: {keysFile: keys.json}',
      `http: {host: '${host}', publicWithoutAuthentication: true}`,
    ]) {
      const http = mended.startsWith('http') ? '' : `http: {host: '${host}'}\n`;
      assert.equal(parseConfig(`${VALID}${http}${mended}\n`, 'ringfill.yml', {}).http.host, host);
    }
  }
  const { where, message } = only(`${VALID}http: {trustedProxies: [proxy.example]}\n`);
  assert.deepEqual(
    [where.split(' ')[1], message],
    ['http.trustedProxies', '"proxy.example" is not an address; write 10.0.0.7 or 10.0.0.0/8'],
  );
});

test('a queue for a subscriber is one line, and what is not said of the outlets has its default', () => {
  const outlets = 'outlets: {subscribers: {canal_binlog_data: {}}, files: {folder: db_data}, redis: {url: redis://r}}';
  const config = parseConfig(`${VALID}${SYNC}  ${outlets}\n`, 'ringfill.yml', {});
  assert.deepEqual(config.sync?.outlets, {
    exchange: 'ringfill.changes',
    nulls: 'null',
    subscribers: { canal_binlog_data: { queueType: 'plain', backlogEventsMax: 1_000_000 } },
    files: { folder: 'db_data', period: 'day', fileMebibytesMax: 1_024, keepDays: 30, keepMebibytes: 10_240 },
    redis: { url: 'redis://r', kind: 'list', key: 'canal_binlog_data', lengthMax: 1_000_000 },
  });
});

test('what a ring was stands beside what it is, with the same default', () => {
  const config = parseConfig(
    formerly('{r1: redis://127.0.0.1:6379, r2: redis://b}', '{r2: redis://b}\n        placement: ketama').replace(
      '}\n',
      '}\n        until: 2026-11-24T10:00:00Z\n',
    ),
    'ringfill.yml',
    {},
  );
  assert.deepEqual(config.rings[0]?.former, [
    {
      shards: { r1: 'redis://127.0.0.1:6379', r2: 'redis://b' },
      placement: 'balanced',
      until: '2026-11-24T10:00:00Z',
    },
    { shards: { r2: 'redis://b' }, placement: 'ketama' },
  ]);
});

test('a table says nothing that it was not told, so that `defaults` holds for it', () => {
  const config = parseConfig(`${VALID}defaults:\n  ttlSeconds: 7\n`, 'ringfill.yml', {});
  assert.deepEqual(config.tables['shop.orders'], {});
});

for (const [claim, text, where, message] of [
  [
    'an unknown key, with the nearest known one',
    `${VALID}orign: {}\n`,
    'ringfill.yml:10: orign',
    /unknown key; did you mean origin\?/,
  ],
  [
    'an unknown key in a table',
    VALID.replace('{}', '\n    columns:\n      denny: [a]'),
    'ringfill.yml:11: tables.shop.orders.columns.denny',
    /did you mean deny\?/,
  ],
  [
    'a key in another case',
    VALID.replace('url:', 'URL: x\n  url:'),
    'ringfill.yml:3: origin.URL',
    /did you mean url\?/,
  ],
  [
    'a far-off key, with all that are known',
    VALID.replace('url:', 'zzzzzzzzzz: 1\n  url:'),
    'ringfill.yml:3: origin.zzzzzzzzzz',
    /known here: url, replicas,/,
  ],
  [
    'a number out of bounds, with its meaning and unit',
    `${VALID}shards:\n  timeoutMs: 1\n`,
    'ringfill.yml:11: shards.timeoutMs',
    /must be >= 5 .*Milliseconds/,
  ],
  [
    'a word where a number belongs',
    `${VALID}defaults:\n  ttlSeconds: soon\n`,
    'ringfill.yml:11: defaults.ttlSeconds',
    /must be integer/,
  ],
  [
    'a choice that is none',
    VALID.replace('shards:', 'placement: ketma\n    shards:'),
    'ringfill.yml:6: rings.0.placement',
    /is not one of balanced, ketama/,
  ],
  [
    'a table without its database',
    VALID.replace('shop.orders', 'orders'),
    'ringfill.yml:9: tables.orders',
    /as db\.table/,
  ],
  [
    'a table with nothing behind its name',
    VALID.replace(' {}', ''),
    'ringfill.yml:9: tables.shop.orders',
    /is empty; write \{\}/,
  ],
  [
    'a shard that is not Redis',
    VALID.replace('redis://', 'http://'),
    'ringfill.yml:7: rings.0.shards.r1',
    /redis:\/\/user:password@host:port/,
  ],
  [
    'a database number that is none',
    VALID.replace(':6379', ':6379/x'),
    'ringfill.yml:7: rings.0.shards.r1',
    /what stands behind the host is not a Redis database number/,
  ],
  [
    'a URL parameter that MySQL does not know',
    VALID.replace(':3306', ':3306?ssl=1'),
    'ringfill.yml:3: origin.url',
    /\?ssl= is not known; known: ssl-mode/,
  ],
  [
    'both an allow and a deny list',
    VALID.replace('{}', '{columns: {allow: [a], deny: [b]}}'),
    'ringfill.yml:9: tables.shop.orders.columns',
    /Either allow or deny/,
  ],
  [
    'a soft TTL above the TTL',
    `${VALID}defaults:\n  ttlSeconds: 5\n  softTtlSeconds: 9\n`,
    'ringfill.yml:12: defaults.softTtlSeconds',
    /softTtlSeconds \(9\) is more than ttlSeconds \(5\)/,
  ],
  [
    'a heartbeat that comes too late for the bound',
    `${VALID}sync:\n  broker: {url: 'amqp://b'}\n  stalenessBoundMs: 900\n  heartbeatMs: 451\n`,
    'ringfill.yml:13: sync.heartbeatMs',
    /heartbeatMs \(451\) is more than half of stalenessBoundMs \(900\)/,
  ],
  [
    'a mirror that nobody writes',
    VALID.replace('{}', '{mode: mirror}'),
    'ringfill.yml:9: tables.shop.orders.mode',
    /there is no sync section/,
  ],
  [
    'a mirror without its changes',
    `${VALID.replace('{}', '{mode: mirror, follow: false}')}${SYNC}`,
    'ringfill.yml:9: tables.shop.orders.follow',
    /cannot be without its changes/,
  ],
  [
    'a mirror that is not overwritten',
    `${VALID.replace('{}', '{mode: mirror, strategy: refresh}')}${SYNC}`,
    'ringfill.yml:9: tables.shop.orders.strategy',
    /refresh is for read-through/,
  ],
  [
    'more copies than rings',
    `${VALID.replace('{}', '{mode: mirror, copies: 2}')}${SYNC}`,
    'ringfill.yml:9: tables.shop.orders.copies',
    /2 copies need as many rings, and there are 1/,
  ],
  [
    'a mirror in a shard that is in no ring',
    `${VALID.replace('{}', '{mode: mirror, shard: r9}')}${SYNC}`,
    'ringfill.yml:9: tables.shop.orders.shard',
    /no shard r9 in any ring/,
  ],
  [
    'a cached table in one shard',
    `${VALID.replace('{}', '{shard: r1}')}${SYNC}`,
    'ringfill.yml:9: tables.shop.orders.shard',
    /only a mirror/,
  ],
  [
    'an outlet for a table that is not exposed',
    `${VALID}${SYNC}  outlets: {tables: [shop.baskets]}\n`,
    'ringfill.yml:12: sync.outlets.tables.0',
    /shop\.baskets is not among the exposed tables/,
  ],
  [
    'an outlet for a table that is not followed',
    `${VALID.replace('{}', '{follow: false}')}${SYNC}  outlets: {tables: [shop.orders]}\n`,
    'ringfill.yml:12: sync.outlets.tables.0',
    /shop\.orders is not followed/,
  ],
  [
    'a subscriber to a table that is not told',
    `${VALID}${SYNC}  outlets: {subscribers: {mine: {tables: [shop.baskets]}}}\n`,
    'ringfill.yml:12: sync.outlets.subscribers.mine.tables.0',
    /not among the tables whose changes are told/,
  ],
  [
    'a subscriber that is called as our own queues are',
    `${VALID}${SYNC}  outlets: {subscribers: {ringfill.mine: {}}}\n`,
    'ringfill.yml:12: sync.outlets.subscribers.ringfill.mine',
    /not a valid name here/,
  ],
  [
    'a bound in bytes for a queue that the broker does not bound',
    `${VALID}${SYNC}  outlets: {subscribers: {mine: {backlogMebibytesMax: 1}}}\n`,
    'ringfill.yml:12: sync.outlets.subscribers.mine.backlogMebibytesMax',
    /bounds no plain queue/,
  ],
  [
    'files of which not even one is kept',
    `${VALID}${SYNC}  outlets: {files: {folder: db_data, keepMebibytes: 1}}\n`,
    'ringfill.yml:12: sync.outlets.files.keepMebibytes',
    /keepMebibytes \(1\) is less than one file may take \(fileMebibytesMax, 1024\)/,
  ],
  [
    'a period that is none',
    `${VALID}${SYNC}  outlets: {files: {folder: db_data, period: week}}\n`,
    'ringfill.yml:12: sync.outlets.files.period',
    /not one of year, month, day, hour, minute/,
  ],
  [
    'a Redis outlet with a database number that is none',
    `${VALID}${SYNC}  outlets: {redis: {url: 'redis://u:hunter2@h/x'}}\n`,
    'ringfill.yml:12: sync.outlets.redis.url',
    /^what stands behind the host is not a Redis database number$/,
  ],
  [
    'a shard that is elsewhere in a former definition',
    formerly('{r1: redis://elsewhere, r2: redis://b}'),
    'ringfill.yml:9: rings.0.former.0.shards.r1',
    /^r1 is elsewhere in a newer definition of the ring/,
  ],
  [
    'shards that are elsewhere in two former definitions',
    formerly('{r1: redis://127.0.0.1:6379, r2: redis://b}', '{r2: redis://c}'),
    'ringfill.yml:10: rings.0.former.1.shards.r2',
    /^r2 is elsewhere/,
  ],
  [
    'a former definition that is the present one',
    formerly('{r1: redis://127.0.0.1:6379}'),
    'ringfill.yml:9: rings.0.former.0',
    /same as the ring as it is now/,
  ],
  [
    'a former definition twice, in whatever order',
    formerly('{r2: redis://b, r3: redis://c}', '{r3: redis://c, r2: redis://b}'),
    'ringfill.yml:10: rings.0.former.1',
    /same as former 0/,
  ],
  [
    'more than four former definitions',
    formerly(...Array.from({ length: 5 }, (_, index) => `{x${index}: redis://x${index}}`)),
    'ringfill.yml:8: rings.0.former',
    /more than 4 items/,
  ],
  [
    'a former shard without its address',
    formerly('{r2: cache-2}'),
    'ringfill.yml:9: rings.0.former.0.shards.r2',
    /redis:\/\/user:password@host:port/,
  ],
  [
    'a former shard with a database number that is none',
    formerly('{r2: redis://b/x}'),
    'ringfill.yml:9: rings.0.former.0.shards.r2',
    /what stands behind the host is not a Redis database number/,
  ],
  [
    'a time that is none',
    formerly('{r2: redis://b}').replace('}\n', '}\n        until: tomorrow\n'),
    'ringfill.yml:10: rings.0.former.0.until',
    /2026-11-24T10:00:00Z/,
  ],
  [
    'a time that there is not',
    formerly('{r2: redis://b}').replace('}\n', '}\n        until: 2026-13-24T10:00:00Z\n'),
    'ringfill.yml:10: rings.0.former.0.until',
    /no such time/,
  ],
  [
    'a former shard by the name of another ring’s',
    formerly('{f1: redis://b}').replace('tables:', '  - name: fallback\n    shards: {f1: redis://c}\ntables:'),
    'ringfill.yml:11: rings.1.shards.f1',
    /f1 is used twice/,
  ],
  [
    'a shard that was another one, with sync',
    `${formerly('{r9: redis://127.0.0.1:6379}')}${SYNC}`,
    'ringfill.yml:9: rings.0.former.0.shards.r9',
    /is the same Redis as r1/,
  ],
  [
    'a mirror in a shard that is in the ring no more',
    `${formerly('{r1: redis://127.0.0.1:6379, r9: redis://b}').replace('{}', '{mode: mirror, shard: r9}')}${SYNC}`,
    'ringfill.yml:11: tables.shop.orders.shard',
    /no shard r9 in any ring/,
  ],
  ['a name used twice', VALID.replace('r1:', 'primary:'), 'ringfill.yml:7: rings.0.shards.primary', /used twice/],
] as const) {
  test(`refused: ${claim}`, () => {
    const problem = only(text);
    assert.equal(problem.code, 'config-invalid');
    assert.equal(problem.where, where);
    assert.match(problem.message, message);
  });
}

test('all that is wrong is told at once', () => {
  const found = problemsOf(`${VALID}htp: {}\nlog:\n  level: loud\nkeyPrefix: "a b"\n`).map(({ where }) => where);
  assert.deepEqual(found.toSorted(), [
    'ringfill.yml:10: htp',
    'ringfill.yml:12: log.level',
    'ringfill.yml:13: keyPrefix',
  ]);
});

test('what is missing is named with its meaning', () => {
  const found = problemsOf('rings: []\ntables: {}\n').map(({ where, message }) => `${where} ${message}`);
  assert.ok(
    found.some((line) => /origin is missing \(The MySQL or MariaDB/.test(line)),
    found.join('\n'),
  );
  assert.match(only('').message, /is empty/);
});

test('text that is not YAML is refused with line and column, and never quoted', () => {
  const problems = problemsOf(VALID.replace('rings:', 'rings: [hunter2'));
  for (const { code, where, message } of problems) {
    assert.equal(code, 'config-unreadable');
    assert.match(where, /^ringfill\.yml:\d+:\d+$/);
    assert.doesNotMatch(message, /hunter2/);
  }
  assert.match(problems[0]?.where ?? '', /^ringfill\.yml:[45]:/);
  const alias = only(VALID.replace('{}', '{ttlSeconds: *hunter2}'));
  assert.equal(alias.code, 'config-unreadable');
  assert.match(alias.message, /put quotes around a value that begins with \* or &/);
  // Resolved, these would take minutes.
  const circles = only(`${VALID}\ncircles: &a [${'*a, '.repeat(2_000)}*a]\n`);
  assert.deepEqual([circles.code, /stands within what it names/.test(circles.message)], ['config-unreadable', true]);
  assert.match(only(`${VALID}tables: {}\n`).message, /unique/);
});

test('a file that is not there is refused with what writes one', () => {
  assert.throws(
    () => loadConfig('/nowhere/ringfill.yml', {}),
    (error: unknown) =>
      error instanceof SetupError && error.code === 'config-unreadable' && /ringfill init --mysql/.test(error.message),
  );
});

test('${NAME} is the environment variable, ${NAME:-default} one that need not be set', () => {
  const url = (env: NodeJS.ProcessEnv) => parseConfig(VALID, 'ringfill.yml', env).origin.url;
  assert.equal(url({}), 'mysql://ringfill:none@127.0.0.1:3306');
  assert.equal(url({ PASSWORD: 'sesame' }), 'mysql://ringfill:sesame@127.0.0.1:3306');
});

test('a password in a URL may hold any character', () => {
  const text = VALID.replace('redis://', 'redis://${USER}:${file:SECRET}@');
  const secret = join(temporaryFolder(), 'secret');
  writeFileSync(secret, 'p@ss/w:rd#%41\n');
  const config = parseConfig(text.replace('SECRET', secret), 'ringfill.yml', {
    PASSWORD: 'a@b/c?d#e%20"\n',
    USER: 'ü',
  });
  assert.equal(decodeURIComponent(new URL(config.origin.url).password), 'a@b/c?d#e%20"\n');
  const endpoint = config.rings[0]?.shards['r1'];
  assert.ok(typeof endpoint === 'string');
  const shard = new URL(endpoint);
  assert.equal(decodeURIComponent(shard.username), 'ü');
  assert.equal(decodeURIComponent(shard.password), 'p@ss/w:rd#%41');
  assert.equal(shard.host, '127.0.0.1:6379');
});

test('${credential:name} is what systemd has loaded for the service', () => {
  const text = VALID.replace('${PASSWORD:-none}', '${credential:mysql-password}');
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'mysql-password'), 'sesame\n');
  const { origin } = parseConfig(text, 'ringfill.yml', { CREDENTIALS_DIRECTORY: folder });
  assert.equal(origin.url, 'mysql://ringfill:sesame@127.0.0.1:3306');
  assert.match(only(text).message, /CREDENTIALS_DIRECTORY is not set/);
  const elsewhere = text.replace('credential:mysql-password', 'credential:../mysql-password');
  assert.match(only(elsewhere, { CREDENTIALS_DIRECTORY: folder }).message, /write \$\{NAME\}/);
});

test('outside of a login a reference is taken as it is', () => {
  const config = parseConfig(VALID.replace('127.0.0.1:3306', '${HOST}/${PATH}?socket=${SOCKET}'), 'ringfill.yml', {
    HOST: 'db:1',
    PATH: 'a/b',
    SOCKET: '/run/mysql@1.sock',
  });
  assert.equal(config.origin.url, 'mysql://ringfill:none@db:1/a/b?socket=/run/mysql@1.sock');
});

test('$${ is a literal ${', () => {
  const text = VALID.replace('redis://127.0.0.1:6379', () => '{sentinel: {group: "$${x}", sentinels: ["h:1"]}}');
  assert.deepEqual(parseConfig(text, 'ringfill.yml', {}).rings[0]?.shards['r1'], {
    sentinel: { group: '${x}', sentinels: ['h:1'] },
  });
});

test('every secret that is missing is named, with its line', () => {
  const text = VALID.replace(':-none', '')
    .replace('redis://', 'redis://:${file:/nowhere/secret}@')
    .replace('{}', '{key: ["${1}"]}');
  const found = problemsOf(text);
  assert.deepEqual(
    found.map(({ code, where }) => `${code} ${where}`),
    [
      'config-secret-missing ringfill.yml:3: origin.url',
      'config-secret-missing ringfill.yml:7: rings.0.shards.r1',
      'config-secret-missing ringfill.yml:9: tables.shop.orders.key.0',
    ],
  );
  assert.match(found[0]?.message ?? '', /environment variable PASSWORD is not set/);
  assert.equal(found[0]?.mend, 'export PASSWORD=…');
  assert.match(found[1]?.message ?? '', /ENOENT/);
  assert.match(found[2]?.message ?? '', /write \$\{NAME\}/);
});

test('no message repeats a password', () => {
  for (const text of [
    VALID.replace('${PASSWORD:-none}', 'hunter2').replace('3306', '99999999'),
    VALID.replace('${PASSWORD:-none}', 'hunter2').replace('mysql://', 'mysq://'),
    VALID.replace('redis://', 'http://:hunter2@'),
    VALID.replace('redis://', 'redis://:hunter2@[::'),
  ]) {
    assert.doesNotMatch(new SetupError(problemsOf(text) as [Problem]).message, /hunter2/);
  }
});

interface Described {
  readonly description?: string;
  readonly properties?: Record<string, Described>;
  readonly patternProperties?: Record<string, Described>;
  readonly items?: Described;
  readonly anyOf?: readonly Described[];
}

test('the published schema describes every key', () => {
  const undescribed: string[] = [];
  let described = 0;
  const walk = (schema: Described, path: string) => {
    for (const [name, property] of Object.entries({ ...schema.properties, ...schema.patternProperties })) {
      if (property.description === undefined) undescribed.push(`${path}${name}`);
      else described += 1;
      walk(property, `${path}${name}.`);
    }
    if (schema.items !== undefined) walk(schema.items, `${path}[].`);
    for (const branch of schema.anyOf ?? []) walk(branch, path);
  };
  walk(JSON.parse(JSON.stringify(ConfigSchema)) as Described, '');
  assert.deepEqual(undescribed, []);
  assert.ok(described > 40, `only ${described} keys were looked at`);
});

test('every bound has a default that lies within it, or none', () => {
  const walk = (
    schema: { default?: unknown; minimum?: number; maximum?: number; properties?: Record<string, never> },
    path: string,
  ) => {
    if (typeof schema.default === 'number') {
      assert.ok(
        schema.default >= (schema.minimum ?? -Infinity) && schema.default <= (schema.maximum ?? Infinity),
        path,
      );
    }
    for (const [name, property] of Object.entries(schema.properties ?? {})) walk(property, `${path}.${name}`);
  };
  walk(JSON.parse(JSON.stringify(ConfigSchema)) as Parameters<typeof walk>[0], '');
});

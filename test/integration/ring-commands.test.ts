/** `ringfill ring plan|add|remove|replace|settle`: what they print, what they write, and what they refuse. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Redis } from 'ioredis';
import { ConfigFile } from '../../cli/ring/config-file.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { SetupError } from '../../shared/errors/errors.ts';
import { Continuum } from '../../shared/ring/continuum.ts';
import { type CommandOutcome, runCommand } from '../support/cli.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const stack = await testStack();
const folder = temporaryFolder();
const SECRETS = { REDIS_PASSWORD: 'sesame', MYSQL_PASSWORD: 'open' };
/** Of the stack's Redis, which other tests do not use. */
const DATABASE = 13;

const [r1, r2, r3] = stack.redis.map(({ port }) => `redis://127.0.0.1:${port}/${DATABASE}`) as [string, string, string];

const FILE = `# Shop, production
origin:
  url: mysql://ringfill:\${MYSQL_PASSWORD}@db.internal:3306 # the primary
rings:
  - name: primary
    shards:
      r1: ${r1}   # rack 1
      r2: ${r2}
      r3: ${r3}
  - name: fallback
    shards: { f1: 'redis://:\${REDIS_PASSWORD}@cache-9:6379' }
tables:
  shop.orders: {}
  shop.customers: { mode: mirror, copies: 1 }
sync: { broker: { url: 'amqp://mq' } }
`;

let files = 0;

function write(text = FILE): string {
  const home = join(folder, String((files += 1)));
  mkdirSync(home);
  const path = join(home, 'ringfill.yml');
  writeFileSync(path, text);
  return path;
}

async function ring(path: string, command: string, ...args: readonly string[]): Promise<CommandOutcome> {
  return await runCommand(['ring', command, '--config', path, ...args], SECRETS);
}

async function good(path: string, command: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await ring(path, command, ...args);
  assert.equal(code, 0, stderr);
  return stdout;
}

async function refused(path: string, command: string, ...args: readonly string[]): Promise<string> {
  const before = readFileSync(path, 'utf8');
  const { code, stdout, stderr } = await ring(path, command, ...args);
  assert.equal(code, 1, stdout);
  assert.equal(stdout, '');
  assert.equal(readFileSync(path, 'utf8'), before);
  assert.equal(readdirSync(join(path, '..')).length, 1, 'nothing is left behind');
  return stderr;
}

function shareThatMoves(before: readonly string[], after_: readonly string[]): number {
  const [was, is] = [new Continuum(before, 'balanced'), new Continuum(after_, 'balanced')];
  const places = Array.from({ length: 100_000 }, (_, index) => Math.floor((index / 100_000) * 2 ** 32));
  return places.filter((place) => was.ownerAt(place) !== is.ownerAt(place)).length / places.length;
}

test('plan tells how many keys move, from where to where, and changes nothing', async () => {
  const path = write();
  const said = await good(path, 'plan', '--add', 'primary/r4=redis://:${REDIS_PASSWORD}@cache-4:6379');
  assert.match(said, /^ring primary, layer 0: r4 added, 3 shards balanced -> 4 shards balanced$/m);
  assert.match(said, /^ {2}2\d\.\d % of its keys move; evenly shared, 25\.0 % is the least$/m);
  for (const from of ['r1', 'r2', 'r3']) assert.match(said, new RegExp(`^ {2}${from} +r4 +\\d\\.\\d %$`, 'm'));
  assert.match(said, /^ {2}the mirror shop\.customers is read again into r1, r2, r3, r4$/m);
  assert.match(said, /^ring fallback, layer 1: nothing moves$/m);
  assert.equal(readFileSync(path, 'utf8'), FILE);
  assert.match(await good(path, 'plan'), /^ring primary, layer 0: nothing moves$/m);
});

interface Planned {
  readonly rings: readonly {
    readonly ring: string;
    readonly movedShare: number;
    readonly leastShare: number;
    readonly moves: readonly { from: string; to: string; share: number; keys?: number | null }[];
    readonly held?: Readonly<Record<string, number | null>>;
  }[];
}

async function planned(path: string, ...args: readonly string[]): Promise<Planned['rings'][number]> {
  const { rings } = JSON.parse(await good(path, 'plan', '--json', ...args)) as Planned;
  const primary = rings.find((one) => one.ring === 'primary');
  assert.ok(primary);
  return primary;
}

test('plan as JSON has the exact shares; several changes count as one', async () => {
  const plan = await planned(
    write(),
    '--remove',
    'primary/r3',
    '--add',
    'primary/r4=redis://a',
    '--add',
    'primary/r5=redis://b',
  );
  const share = shareThatMoves(['r1', 'r2', 'r3'], ['r1', 'r2', 'r4', 'r5']);
  assert.ok(Math.abs(plan.movedShare - share) < 0.001, `${plan.movedShare} told, ${share} seen`);
  assert.equal(plan.leastShare, 0.5);
  assert.ok(Math.abs(plan.moves.reduce((sum, move) => sum + move.share, 0) - plan.movedShare) < 1e-9);
  assert.ok(
    plan.moves.every(({ keys }) => keys === undefined),
    'nobody was asked',
  );
  const placed = await planned(write(), '--placement', 'primary=ketama');
  assert.ok(placed.movedShare > 0.5 && placed.leastShare === 0);
});

test('with --count, plan tells how many keys that is, of the shards that say', async () => {
  const clients = [r1, r2].map((url) => new Redis(url));
  after(async () => {
    for (const client of clients) {
      await client.flushdb();
      await client.quit();
    }
  });
  for (const [index, client] of clients.entries()) {
    await client.mset(Object.fromEntries(Array.from({ length: 1_000 * (index + 1) }, (_, id) => [`k${id}`, 'x'])));
  }
  const path = write(FILE.replace(r3, 'redis://127.0.0.1:1'));
  const change = ['--count', '--add', 'primary/r4=redis://cache-4'];
  const plan = await planned(path, ...change);
  assert.deepEqual(plan.held, { r1: 1_000, r2: 2_000, r3: null });
  const keys = Object.fromEntries(plan.moves.map((move) => [move.from, move.keys]));
  assert.equal(keys['r3'], null);
  assert.ok(
    Math.abs((keys['r1'] as number) - 250) < 30 && Math.abs((keys['r2'] as number) - 500) < 60,
    JSON.stringify(keys),
  );
  const said = await good(path, 'plan', ...change);
  assert.match(said, /^ {2}about 7\d\d of 3000 keys held, by DBSIZE of those that answer$/m);
  assert.match(said, /^ {2}r3 does not say: connect ECONNREFUSED 127\.0\.0\.1:1$/m);
});

test('add writes the shard and what the ring was, and nothing else', async () => {
  const path = write();
  chmodSync(path, 0o640);
  const wantedUntil = Date.now() + 90_000_000;
  const said = await good(path, 'add', 'primary/r4=redis://:${REDIS_PASSWORD}@cache-4:6379');
  const text = readFileSync(path, 'utf8');
  const until = /until: (\S+)/.exec(text)?.[1] ?? '';
  const added = `      r4: redis://:\${REDIS_PASSWORD}@cache-4:6379
    former:
      - shards:
          r1: ${r1}
          r2: ${r2}
          r3: ${r3}
        until: ${until}
`;
  assert.equal(text, FILE.replace('  - name: fallback', `${added}  - name: fallback`));
  assert.ok(Date.parse(until) >= wantedUntil && Date.parse(until) < wantedUntil + 60_000, 'a day, and an hour’s grace');
  assert.equal(statSync(path).mode & 0o777, 0o640);
  assert.match(said, /2\d\.\d % of its keys move/);
  assert.ok(said.includes(`from ${until} on: ringfill ring settle primary`));
  assert.match(said, /reload the sync worker, then each gateway \(kill -HUP\)/);
  assert.doesNotMatch(said + text, /sesame/);
  assert.match(await good(path, 'plan'), /^ring primary, layer 0: r4 added, 3 shards balanced -> 4/m, 'is under way');

  await good(path, 'remove', 'primary/r1');
  const [primary] = loadConfig(path, SECRETS).rings;
  assert.deepEqual(Object.keys(primary?.shards ?? {}), ['r2', 'r3', 'r4']);
  assert.deepEqual(
    primary?.former?.map(({ shards }) => Object.keys(shards)),
    [
      ['r1', 'r2', 'r3', 'r4'],
      ['r1', 'r2', 'r3'],
    ],
  );
});

test('--dry-run shows the change alone, without passwords, and writes nothing', async () => {
  const text = FILE.replace(r3, 'redis://:hunter2@cache-3');
  const path = write(text);
  const said = await good(path, 'add', '--dry-run', 'primary/r4=redis://:${REDIS_PASSWORD}@cache-4:6379');
  assert.match(said, /^--- .*\n\+\+\+ .*\n@@ -7,6 \+7,13 @@\n/);
  assert.match(said, /^\+ {6}r4: redis:\/\/:\$\{REDIS_PASSWORD\}@cache-4:6379$/m);
  assert.match(said, /^ {7}r3: redis:\/\/:\*\*\*@cache-3$/m);
  assert.doesNotMatch(said, /hunter2|^-[^-]/m);
  assert.equal(readFileSync(path, 'utf8'), text);
});

test('replace gives the name another server, and moves no key', async () => {
  const path = write();
  const said = await good(path, 'replace', 'primary/r2=redis://cache-7:6379');
  assert.match(said, /no key moves for r2; its new server begins empty: 3\d\.\d % of the ring's keys are filled again/);
  assert.match(said, /the mirror shop\.customers is read again into r2$/m);
  assert.doesNotMatch(said, /settle/);
  assert.equal(readFileSync(path, 'utf8'), FILE.replace(r2, 'redis://cache-7:6379'));
});

test('settle drops what has had its time; --now the rest, and says what goes cold', async () => {
  const former = (until: string) => `    former:
      - shards: { r1: ${r1}, r2: ${r2} }
        until: ${until}
      - shards: { r1: ${r1} }
        until: 2020-01-01T00:00:00Z
`;
  const withFormer = (until: string) => FILE.replace('  - name: fallback', `${former(until)}  - name: fallback`);
  const until = '2999-01-01T00:00:00Z';
  const path = write(withFormer(until));
  const waiting = `ring primary: the former one of r1, r2 may be dropped from ${until} on`;
  const first = await good(path, 'settle', 'primary');
  assert.match(first, /^ring primary: 1 former definition dropped\.$/m);
  assert.ok(first.includes(waiting), first);
  assert.doesNotMatch(first, /before its time/);
  assert.equal(readFileSync(path, 'utf8'), withFormer(until).replace(/ {6}- shards: \{ r1: \S+ \}\n.*2020.*\n/, ''));

  const kept = readFileSync(path, 'utf8');
  assert.equal(await good(path, 'settle'), `Nothing to drop.\n${waiting}\n`);
  assert.equal(readFileSync(path, 'utf8'), kept);
  assert.equal(await good(path, 'settle', 'fallback', '--now'), `Nothing to drop.\n${waiting}\n`);

  const now = await good(path, 'settle', '--now');
  const cold = Number(/before its time: up to (\S+) % of its keys go cold/.exec(now)?.[1]);
  assert.ok(Math.abs(cold - 100 * shareThatMoves(['r1', 'r2'], ['r1', 'r2', 'r3'])) < 0.2, now);
  assert.match(now, /Mirrors: reload only once ringfill_mirror_complete is 1/);
  assert.equal(readFileSync(path, 'utf8'), FILE);
  assert.equal(await good(path, 'settle'), 'Nothing to drop.\n');
});

test('what cannot be is refused, and the file is as it was', async () => {
  const path = write();
  for (const [args, words] of [
    [['add', 'nix/r4=redis://h'], /there is no ring nix \[ring-change-refused\]\n +mend: rings are primary, fallback/],
    [['add', 'primary/f1=redis://h'], /f1 is used twice.*\[config-invalid\]/],
    [['add', `primary/r4=${r1}`], /is the same Redis as r1.*\[config-invalid\]/],
    [['add', 'primary/r 4=redis://h'], /not a valid name here.*\[config-invalid\]/],
    [['add', 'primary/r4=redis://:${NOT_SET}@h'], /NOT_SET is not set \[config-secret-missing\]/],
    [['add', 'r4=redis://:hunter2@h'], /write RING\/NAME=URL.*\[ring-change-refused\]/],
    [['replace', `primary/r1=${r1}`], /has that address already/],
    [['settle', 'nix'], /there is no ring nix/],
    [['plan', '--remove', 'fallback/f1'], /last shard/],
  ] as const) {
    const [command, ...rest] = args;
    const said = await refused(path, command, ...rest);
    assert.match(said, words);
    assert.doesNotMatch(said, /hunter2|sesame|\n {4}at /);
  }
});

test('a secret’s value is not written; a literal password is, with a word about it', async () => {
  const path = write();
  const said = await refused(path, 'add', 'primary/r4=redis://:sesame@cache-4:6379');
  assert.match(said, /has the value of \$\{REDIS_PASSWORD\} in it/);
  assert.match(said, /mend: put the URL into single quotes, with \$\{REDIS_PASSWORD\} for the password/);
  assert.doesNotMatch(said, /sesame/);
  const literal = await ring(path, 'add', 'primary/r4=redis://:hunter2@cache-4:6379');
  assert.equal(literal.code, 0);
  assert.match(literal.stderr, /password of r4 stands in .*ringfill\.yml as it is/);
  assert.doesNotMatch(literal.stdout + literal.stderr, /hunter2/);
});

test('a link stays a link, JSON stays JSON', async () => {
  const path = write();
  const link = join(path, '../linked.yml');
  symlinkSync('ringfill.yml', link);
  await good(link, 'remove', 'primary/r3');
  assert.ok(lstatSync(link).isSymbolicLink());
  assert.doesNotMatch(readFileSync(path, 'utf8'), /r3:.*\n {4}former/);
  assert.match(readFileSync(path, 'utf8'), /former:/);

  const json = {
    origin: { url: 'mysql://o' },
    rings: [{ name: 'p', shards: { r1: 'redis://a' } }],
    tables: { 'a.b': {} },
  };
  const jsonPath = write(`${JSON.stringify(json, undefined, 2)}\n`);
  await good(jsonPath, 'add', 'p/r2=redis://b');
  const text = readFileSync(jsonPath, 'utf8');
  const { rings } = JSON.parse(text) as { rings: { shards: object; former: { shards: object }[] }[] };
  assert.deepEqual(rings[0]?.shards, { r1: 'redis://a', r2: 'redis://b' });
  assert.deepEqual(rings[0]?.former[0]?.shards, { r1: 'redis://a' });
  assert.match(text, /^\{\n {2}"origin": \{\n/);
});

test('what somebody else writes meanwhile is not overwritten', async () => {
  const config = new ConfigFile(write(FILE.replaceAll(/\$\{\w+\}/g, 'x')));
  const edited = config.with(config.rings.map((one) => ({ ...one, placement: 'ketama' as const })));
  writeFileSync(config.path, FILE);
  await assert.rejects(config.replace(edited), (error: unknown) => {
    return (
      error instanceof SetupError && error.code === 'config-unwritable' && /changed it meanwhile/.test(error.message)
    );
  });
  assert.equal(readFileSync(config.path, 'utf8'), FILE);
  assert.deepEqual(readdirSync(join(config.path, '..')), ['ringfill.yml']);
});

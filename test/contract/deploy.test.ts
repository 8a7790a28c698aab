/**
 * What deploy/ says fits together, as far as that can be told without Docker and systemd: it has been built by neither here.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { loadConfig } from '../../shared/config/load.ts';
import { demoPorts } from '../../stack/stack.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');

interface Service {
  readonly image?: string;
  readonly command?: readonly string[];
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly configs?: readonly { readonly source: string; readonly target: string }[];
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly depends_on?: Readonly<Record<string, unknown>>;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly configs: Readonly<Record<string, { readonly file?: string; readonly content?: string }>>;
}

const compose = parse(read('deploy/compose.yaml'), { merge: true }) as Compose;
const config = loadConfig(join(root, 'deploy/ringfill.yml'));

test('compose: the servers are on the demo’s ports, and on 127.0.0.1 alone', () => {
  const published = new Map(
    Object.entries(compose.services).flatMap(([name, { ports = [] }]) =>
      ports.map((text) => [name, text.split(':')] as const),
    ),
  );
  for (const [name, [host]] of published) assert.equal(host, '127.0.0.1', name);
  const port = (name: string) => Number(published.get(name)?.[1]);
  assert.equal(port('mysql'), demoPorts.mysql);
  assert.deepEqual(['r1', 'r2', 'r3'].map(port), demoPorts.primary);
  assert.deepEqual(['f1', 'f2'].map(port), demoPorts.fallback);
  assert.equal(port('rabbitmq'), demoPorts.rabbitmq.amqp);
});

test('compose: whatever a service names is there: volumes, configs, files, and what it waits for', () => {
  for (const [name, { volumes = [], configs = [], build, depends_on: awaited = {} }] of Object.entries(
    compose.services,
  )) {
    for (const volume of volumes) assert.ok((volume.split(':')[0] ?? '') in compose.volumes, `${name}: ${volume}`);
    for (const { source } of configs) assert.ok(source in compose.configs, `${name}: ${source}`);
    for (const service of Object.keys(awaited)) assert.ok(service in compose.services, `${name}: ${service}`);
    if (build !== undefined) assert.ok(existsSync(join(root, 'deploy', build.context, build.dockerfile)), name);
  }
  for (const [name, { file, content }] of Object.entries(compose.configs)) {
    assert.ok(content !== undefined || existsSync(join(root, 'deploy', file ?? '')), name);
  }
});

test('compose: ringfill.yml is valid, and the servers that it names are services, on their own ports', () => {
  const urls = [
    config.origin.url,
    config.sync?.broker.url ?? '',
    ...config.rings.flatMap(({ shards }) => Object.values(shards).map(String)),
  ];
  const OWN_PORTS: Readonly<Record<string, string>> = { 'mysql:': '3306', 'redis:': '6379', 'amqp:': '5672' };
  for (const url of urls) {
    const { hostname, port, protocol } = new URL(url);
    assert.ok(hostname in compose.services, url);
    assert.equal(port, OWN_PORTS[protocol], url);
  }
  for (const name of ['gateway', 'sync-worker']) {
    const { command = [], configs = [] } = compose.services[name] ?? assert.fail(name);
    assert.equal(command[0], name);
    assert.equal(command[2], configs[0]?.target);
  }
  assert.equal(compose.services['gateway']?.ports?.[0], `127.0.0.1:8080:${config.http.port}`);
  assert.equal(compose.services['sync-worker']?.volumes?.[0], `state:${config.sync?.stateFolder}`);
});

test('Dockerfile: what it copies is there, and it runs what the package has', () => {
  const lines = read('deploy/Dockerfile').split('\n');
  const copied = lines
    .flatMap((line) => (/^COPY (?!--from)(.*) \S+$/.exec(line)?.[1] ?? '').split(' '))
    .filter(Boolean);
  assert.ok(copied.length > 3, copied.join(' '));
  for (const file of copied) assert.ok(existsSync(join(root, file)), file);
  const nodes = lines.flatMap((line) => /^FROM node:(\d+)-/.exec(line)?.[1] ?? []);
  assert.deepEqual([...new Set(nodes)], [read('.nvmrc').trim().replace(/^v/, '').split('.')[0]]);
  const { bin } = JSON.parse(read('package.json')) as { bin: Record<string, string> };
  assert.ok(lines.includes(`ENTRYPOINT ["${Object.keys(bin)[0]}"]`));
  assert.ok(!lines.some((line) => line.startsWith('USER root')) && lines.includes('USER node'));
});

test('systemd: the units run commands that there are, with the file that the pages name', () => {
  const commands = read('cli/main.ts');
  for (const [name, importedAs] of [
    ['gateway', 'gatewayCommand'],
    ['sync-worker', 'syncWorkerCommand'],
  ] as const) {
    const unit = read(`deploy/systemd/ringfill-${name}.service`);
    assert.match(unit, new RegExp(`^ExecStart=\\S+/ringfill ${name} --config /etc/ringfill/ringfill\\.yml`, 'm'));
    assert.match(unit, /^ExecReload=\/bin\/kill -HUP \$MAINPID$/m);
    assert.ok(commands.includes(`.addCommand(${importedAs}())`));
  }
});

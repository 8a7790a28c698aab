/** What others' code comes along: few packages, each in one version that is written down, under licences that allow it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '../..');
const read = <T>(file: string) => JSON.parse(readFileSync(join(root, file), 'utf8')) as T;

interface Locked {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly link?: boolean;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
}

const manifest = read<Record<'dependencies' | 'devDependencies', Record<string, string>>>('package.json');
const { packages } = read<{ packages: Record<string, Locked> }>('package-lock.json');
/** Ours are no packages of others: the root, and the workspace that pins Node. */
const production = Object.entries(packages).filter(
  ([path, { dev, link }]) => path.startsWith('node_modules/') && dev !== true && link !== true,
);
const nameOf = (path: string) => path.split('node_modules/').at(-1) as string;

const ALLOWED = new Set(['MIT', 'ISC', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'BlueOak-1.0.0']);
/** Its package.json has it in a form of old, which the lock file leaves out; so its text is read. */
const BY_ITS_TEXT = new Map([['simple-lru-cache', /Permission is hereby granted, free of charge/]]);
const PACKAGES_MAX = 160;
/** Of the workspace that pins Node. */
const OWN_VERSION = '0.0.0';

test('every dependency is of one version, and the lock file has its checksum', () => {
  const asked = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
  for (const [name, version] of asked) {
    // Node's own types follow the major version that runs.
    if (name === '@types/node') continue;
    assert.match(version, /^\d+\.\d+\.\d+$/, name);
    assert.equal(packages[`node_modules/${name}`]?.version, version, name);
  }
  for (const [path, { integrity }] of production) assert.match(integrity ?? '', /^sha512-/, path);
});

test('every dependency of production has a licence of the list', () => {
  for (const [path, { license }] of production) {
    const text = BY_ITS_TEXT.get(nameOf(path));
    if (text === undefined) assert.ok(ALLOWED.has(license ?? ''), `${path}: ${license ?? 'no licence'}`);
    else assert.match(readFileSync(join(root, path, 'LICENSE'), 'utf8'), text, path);
  }
});

test('`npm run sbom` lists exactly those, each with its version, its licence and its checksum', () => {
  const printed = execFileSync('npm', ['run', '--silent', 'sbom'], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const { bomFormat, components, dependencies } = JSON.parse(printed.toString()) as {
    bomFormat: string;
    components: { name: string; version: string; hashes?: unknown[]; licenses?: unknown[] }[];
    dependencies: { ref: string; dependsOn: string[] }[];
  };
  assert.equal(bomFormat, 'CycloneDX');
  const others = components.filter(({ version }) => version !== OWN_VERSION);
  const listed = others.map(({ name, version }) => `${name} ${version}`).toSorted();
  const expected = new Set(production.map(([path, { version }]) => `${nameOf(path)} ${version}`));
  assert.deepEqual(listed, [...expected].toSorted());
  for (const { name, hashes = [], licenses = [] } of others) {
    assert.ok(hashes.length > 0, name);
    assert.ok(licenses.length > 0 || BY_ITS_TEXT.has(name), name);
  }
  const refs = new Set(dependencies.map(({ ref }) => ref));
  for (const { dependsOn } of dependencies) for (const ref of dependsOn) assert.ok(refs.has(ref), ref);
});

test('they are few, and none of them runs a script when it is installed', () => {
  const names = new Set(production.map(([path]) => nameOf(path)));
  assert.ok(names.size <= PACKAGES_MAX, `${names.size} packages`);
  const scripted = production.filter(([, { hasInstallScript }]) => hasInstallScript === true).map(([path]) => path);
  assert.deepEqual(scripted, []);
});

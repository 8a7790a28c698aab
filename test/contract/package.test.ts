/** What the published package promises: the command, the exports, the files, and no dependency that is not declared. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { isBuiltin } from 'node:module';
import { publishedSchema } from '../../shared/config/published-schema.ts';
import { configurationReference } from '../../shared/config/reference.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');

interface PackageFile {
  readonly type: string;
  readonly license: string;
  readonly bin: Record<string, string>;
  readonly exports: Record<string, string | Record<string, string>>;
  readonly files: readonly string[];
  readonly engines: { readonly node: string };
  readonly dependencies: Record<string, string>;
}

const manifest = JSON.parse(read('package.json')) as PackageFile;
const { include } = JSON.parse(read('tsconfig.build.json')) as { include: string[] };

/** `./dist/client/index.js` -> `client/index.ts`: what the build makes it of. */
function sourceOf(built: string): string {
  return built.replace(/^(?:\.\/)?dist\//, '').replace(/(?:\.d\.ts|\.js)$/, '.ts');
}

test('the command, and every export, is built from a source that is there, and is among the files', () => {
  const targets = [
    ...Object.values(manifest.bin),
    ...Object.values(manifest.exports).flatMap((target) =>
      typeof target === 'string' ? [target] : Object.values(target),
    ),
  ];
  assert.ok(targets.length >= 4);
  for (const target of targets) {
    const path = target.replace(/^\.\//, '');
    assert.ok(
      manifest.files.some((file) => path === file || path.startsWith(`${file}/`)),
      `${target} is not published`,
    );
    if (!path.startsWith('dist/')) continue;
    assert.ok(existsSync(join(root, sourceOf(path))), `${target} has no source ${sourceOf(path)}`);
    assert.ok(include.includes(sourceOf(path).split('/')[0] ?? ''), `${target} is not compiled`);
  }
  assert.deepEqual(Object.keys(manifest.bin), ['ringfill']);
  assert.deepEqual(Object.keys(manifest.exports), ['./client', './ringfill.schema.json']);
});

test('the command begins with a shebang', () => {
  assert.match(read(sourceOf(manifest.bin['ringfill'] ?? '')), /^#!\/usr\/bin\/env node\n/);
});

test('what else is published is there, and nothing that is for developing', () => {
  for (const file of manifest.files.filter((name) => name !== 'dist' && name !== 'ringfill.schema.json')) {
    assert.ok(existsSync(join(root, file)), file);
  }
  assert.ok(
    existsSync(join(root, 'LICENSE')) && manifest.license === 'MIT' && read('LICENSE').startsWith('MIT License'),
  );
  assert.ok(!include.includes('test') && !include.includes('bench'));
});

test('types and conditions are in the order that resolvers need: types first, default last', () => {
  for (const target of Object.values(manifest.exports)) {
    if (typeof target === 'string') continue;
    assert.deepEqual(Object.keys(target), ['types', 'default']);
  }
});

test('every module that the published code imports is a dependency, and every dependency is imported', () => {
  const used = new Map<string, string>();
  for (const file of globSync(
    include.map((folder) => `${folder}/**/*.ts`),
    { cwd: root },
  )) {
    const source = readFileSync(join(root, file), 'utf8');
    for (const [, name = ''] of source.matchAll(/(?:\bfrom\s|\bimport\s|\bimport\()\s*'([^'\n]+)'/g)) {
      if (name.startsWith('.') || isBuiltin(name)) continue;
      used.set(
        name
          .split('/')
          .slice(0, name.startsWith('@') ? 2 : 1)
          .join('/'),
        file,
      );
    }
  }
  const undeclared = [...used].filter(([name]) => !Object.hasOwn(manifest.dependencies, name));
  assert.deepEqual(undeclared, []);
  // pino-pretty is named to pino, and uPlot's files are put into a page.
  const named = ['pino-pretty', 'uplot'];
  const idle = Object.keys(manifest.dependencies).filter((name) => !used.has(name) && !named.includes(name));
  assert.deepEqual(idle, []);
});

test('dependencies are pinned, and the Node that strips types is asked for', () => {
  for (const [name, version] of Object.entries(manifest.dependencies))
    assert.match(version, /^[0-9]+\.[0-9]+\.[0-9]+$/, name);
  assert.equal(manifest.engines.node, '>=24.12');
  assert.equal(manifest.type, 'module');
});

test('ringfill.schema.json is the configuration’s schema as it is in the code (npm run build writes it)', () => {
  assert.equal(read('ringfill.schema.json'), publishedSchema());
});

test('docs/configuration.md has every setting as it is in the code (npm run build writes it)', () => {
  const reference = read('docs/configuration.md');
  assert.equal(reference, configurationReference());
  for (const section of ['http', 'rings[]', 'tables.<name>', 'sync.outlets.files']) {
    assert.ok(reference.includes(`## \`${section}\`\n`), section);
  }
});

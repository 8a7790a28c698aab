// `npm run build`: what the published package holds. TypeScript becomes JavaScript, and what the code reads at run time (Lua
// scripts, pages) goes along, at the same place; and what the configuration's schema is written out as: for editors, and for readers.

import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { publishedSchema } from '../shared/config/published-schema.ts';
import { configurationReference } from '../shared/config/reference.ts';

const root = path.resolve(import.meta.dirname, '..');
const output = path.join(root, 'dist');
const configuration = 'tsconfig.build.json';

rmSync(output, { recursive: true, force: true });
const compiled = spawnSync('tsc', ['-p', configuration], { cwd: root, stdio: 'inherit' });
if (compiled.error !== undefined) throw compiled.error;
if (compiled.status !== 0) process.exit(compiled.status ?? 1);

// The compiler's own list of folders.
const { include } = JSON.parse(readFileSync(path.join(root, configuration), 'utf8')) as { include: string[] };
const readAtRunTime = new Set(['.lua', '.html', '.css', '.js', '.svg', '.ico', '.json', '.yml']);
const forTheCompiler = new Set(['package.json', 'tsconfig.json']);
for (const folder of include.filter((name) => existsSync(path.join(root, name)))) {
  for (const entry of readdirSync(path.join(root, folder), { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    if (!entry.isFile() || !readAtRunTime.has(path.extname(entry.name)) || forTheCompiler.has(entry.name)) continue;
    cpSync(file, path.join(output, path.relative(root, file)));
  }
}
chmodSync(path.join(output, 'cli', 'main.js'), 0o755);
writeFileSync(path.join(root, 'ringfill.schema.json'), publishedSchema());
writeFileSync(path.join(root, 'docs', 'configuration.md'), configurationReference());

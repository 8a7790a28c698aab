// `npm run release:check`: may this commit be published? Says what is wrong, and ends with 1.
//
//     npm run release:check             by the tag that HEAD has
//     npm run release:check -- v1.2.3   as if it had this one

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { releaseProblems } from './release.ts';

const root = path.resolve(import.meta.dirname, '..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

function tagOfHead(): string | undefined {
  const tags = execFileSync('git', ['tag', '--points-at', 'HEAD', 'v*'], { cwd: root, encoding: 'utf8' });
  return tags.split('\n').find((tag) => tag !== '');
}

const problems = releaseProblems({
  tag: process.argv[2] ?? tagOfHead(),
  manifest: read('package.json'),
  lockfile: read('package-lock.json'),
  changelog: read('CHANGELOG.md'),
});
for (const problem of problems) process.stderr.write(`${problem}\n`);
if (problems.length > 0) process.exitCode = 1;
else process.stdout.write('The tag, package.json, package-lock.json and CHANGELOG.md agree.\n');

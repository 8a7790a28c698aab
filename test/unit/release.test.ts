/** When a commit may be published: the tag, the package and the changelog name one version. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type ReleaseParts, releaseProblems } from '../../stack/release.ts';

const GOOD: ReleaseParts = {
  tag: 'v1.2.3',
  manifest: '{"version":"1.2.3"}',
  lockfile: '{"version":"1.2.3","packages":{"":{"version":"1.2.3"}}}',
  changelog: '# Changelog\n\n## 1.2.3 (2026-11-23)\n\n- A change.\n\n## 1.2.2 (2026-10-01)\n\n- Another.\n',
};
const problems = (parts: Partial<ReleaseParts>) => releaseProblems({ ...GOOD, ...parts });

test('nothing is wrong where all of them agree', () => {
  assert.deepEqual(problems({}), []);
});

for (const [what, parts, expected] of [
  ['no tag', { tag: undefined }, /no tag; git tag -a v1\.2\.3/],
  ['another tag', { tag: 'v1.2.4' }, /the tag is v1\.2\.4, and package\.json says 1\.2\.3/],
  ['a tag without its v', { tag: '1.2.3' }, /the tag is 1\.2\.3/],
  [
    'an old lockfile',
    { lockfile: '{"version":"1.2.2","packages":{"":{"version":"1.2.2"}}}' },
    /package-lock\.json says 1\.2\.2/,
  ],
  [
    'a lockfile that was changed by half',
    { lockfile: '{"version":"1.2.3","packages":{"":{"version":"1.2.2"}}}' },
    /package-lock/,
  ],
  [
    'changes that are still unreleased',
    { changelog: GOOD.changelog.replace('## 1.2.3', '## Unreleased\n\n- More.\n\n## 1.2.3') },
    /begins with Unreleased/,
  ],
  [
    'a version that the changelog does not have',
    { changelog: '# Changelog\n\n## 1.2.30 (2026-11-23)\n\n- A.\n' },
    /no section 1\.2\.3/,
  ],
  ['one without its day', { changelog: '# Changelog\n\n## 1.2.3\n\n- A.\n' }, /does not date 1\.2\.3/],
  [
    'one of which nothing is said',
    { changelog: '# Changelog\n\n## 1.2.3 (2026-11-23)\n\n## 1.2.2 (2026-10-01)\n' },
    /says nothing of 1\.2\.3/,
  ],
] as const satisfies readonly (readonly [string, Partial<ReleaseParts>, RegExp])[]) {
  test(`wrong: ${what}`, () => {
    const told = problems(parts);
    assert.equal(told.length, 1, told.join('; '));
    assert.match(told[0] ?? '', expected);
  });
}

test('between releases this tree lacks its tag and its changelog’s name, and nothing else', () => {
  const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
  const changelog = read('CHANGELOG.md').replace('## Unreleased', `## ${version()} (2026-11-23)`);
  const parts = { manifest: read('package.json'), lockfile: read('package-lock.json'), changelog };
  assert.deepEqual(releaseProblems({ tag: `v${version()}`, ...parts }), []);

  function version(): string {
    return (JSON.parse(read('package.json')) as { version: string }).version;
  }
});

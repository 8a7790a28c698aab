/** The catalogue of errors and docs/errors.md say the same: one section a code, no more and no less. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { catalogue } from '../../shared/errors/catalogue.ts';

const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
const headings = [...page.matchAll(/^#{2,3} `([^`]+)`$/gm)];
const sections = new Map(
  headings.map((heading, index) => {
    const start = heading.index + heading[0].length;
    // Up to the next heading of any kind.
    const rest = page.slice(start, headings[index + 1]?.index).replace(/^#{1,3} [^`][\s\S]*$/m, '');
    return [heading[1] ?? '', rest.trim()] as const;
  }),
);

test('every error code has one section in docs/errors.md', () => {
  assert.equal(sections.size, headings.length, 'a code has two sections');
  const missing = Object.keys(catalogue).filter((code) => !sections.has(code));
  assert.deepEqual(missing, []);
});

test('docs/errors.md has no section for a code that does not exist', () => {
  const unknown = [...sections.keys()].filter((code) => !Object.hasOwn(catalogue, code));
  assert.deepEqual(unknown, []);
});

test('each section says something, and the HTTP status where the code can be an answer', () => {
  for (const [code, entry] of Object.entries(catalogue)) {
    const section = sections.get(code) ?? '';
    assert.ok(section.length > 30, `${code}: ${section}`);
    if ('status' in entry)
      assert.match(
        section,
        new RegExp(`^${entry.status}[.,]`),
        `${code} is ${entry.status}, but: ${section.slice(0, 40)}`,
      );
    else assert.doesNotMatch(section, /^[45][0-9]{2}\./, `${code} is no answer`);
  }
});

test('codes are kebab-case, and their status fits who has to act', () => {
  for (const [code, entry] of Object.entries(catalogue)) {
    assert.match(code, /^[a-z]+(?:-[a-z]+)*$/);
    assert.ok(entry.title.length > 0 && !entry.title.endsWith('.'), code);
    if ('status' in entry) assert.ok(entry.status >= 400 && entry.status < 600, code);
  }
});

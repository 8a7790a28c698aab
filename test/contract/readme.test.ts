/** README.md and its translation have the same blocks in the same order, the same routes and links; and both name what there is. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { parseConfig } from '../../shared/config/load.ts';
import { blocksOf } from '../support/readme.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const english = read('README.md');
const chinese = read('README.zh-CN.md');

const fencesOf = (page: string) => [...page.matchAll(/^```[^]*?^```$/gm)].map(([fence]) => fence);
const linksOf = (page: string) =>
  [...page.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link).filter((link) => !link.startsWith('README'));
const headingsOf = (page: string) => [...page.matchAll(/^#+/gm)].map(([marks]) => marks);

test('the translation has the English page’s blocks, word for word, with the same remarks', () => {
  assert.deepEqual(fencesOf(chinese), fencesOf(english));
  assert.ok(fencesOf(english).length > 10);
  const remarks = (page: string) => blocksOf(page).map(({ remark }) => remark);
  assert.deepEqual(remarks(chinese), remarks(english));
});

test('it has the same sections, leads to the same pages, and its tables have as many lines', () => {
  assert.deepEqual(headingsOf(chinese), headingsOf(english));
  assert.deepEqual(linksOf(chinese).toSorted(), linksOf(english).toSorted());
  const lines = (page: string) => page.split('\n').filter((line) => line.startsWith('|')).length;
  assert.equal(lines(chinese), lines(english));
});

test('the figures in both are the same', () => {
  const figures = (page: string) => {
    const costs = page.split(/^## /m).find((section) => section.includes('npm run bench -- --quick')) ?? '';
    return (costs.match(/\d[\d,.-]*\d|\d/g) ?? []).toSorted();
  };
  assert.ok(figures(english).length > 40);
  assert.deepEqual(figures(chinese), figures(english));
});

test('every page and picture that they lead to is there', () => {
  for (const link of [...linksOf(english), 'README.md', 'README.zh-CN.md']) {
    if (!link.startsWith('http')) assert.ok(existsSync(join(root, link.split('#')[0] ?? '')), link);
  }
});

test('the table of routes has every route of the OpenAPI document', () => {
  const source = read('gateway/http/openapi.ts');
  const routes = [...source.matchAll(/^ {6}'(\/-\/[^']+)'/gm)].map(([, route = '']) => route);
  assert.ok(routes.length >= 9, routes.join(' '));
  for (const page of [english, chinese]) {
    for (const route of [...routes, '/-/docs']) assert.match(page, new RegExp(`[\`/ ]${route}[\`?]`), route);
  }
});

for (const page of ['docs/migrating-from-twemproxy.md', 'docs/migrating-from-the-seed-stack.md']) {
  test(`${page}: the file that it advises is one`, () => {
    const [block] = blocksOf(read(page)).filter(({ language }) => language === 'yaml');
    assert.ok(block !== undefined);
    const config = parseConfig(block.text, page, { MYSQL_PASSWORD: 'a', AMQP_PASSWORD: 'b' });
    assert.ok(config.sync !== undefined);
  });
}

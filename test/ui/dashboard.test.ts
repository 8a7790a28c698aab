/**
 * The dashboard in a real Chromium, as an operator uses it: on real servers, under real requests, with a shard killed on the
 * way. The pictures of docs/dashboard.md are taken as it goes, some minutes longer, so that there is something to be seen:
 *
 *     RINGFILL_PICTURES=docs/images node test/ui/dashboard.test.ts
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { newKey } from '../../shared/access/api-key.ts';
import { changeKeyFile } from '../../shared/access/key-file.ts';
import { kill } from '../../stack/faults.ts';
import { installedChromium, startBrowser } from '../support/browser.ts';
import { until } from '../support/broker.ts';
import { type DashboardWorld, openDashboardWorld, startReaders } from '../support/dashboard-world.ts';
import { startGateway } from '../support/gateway.ts';
import { temporaryFolder, testStack } from '../support/stack.ts';

const pictures = process.env['RINGFILL_PICTURES'];
/** px */
const PICTURED_MARGIN = 20;
/** Of requests, before the first picture; and of what comes after a fault. */
const PICTURED_MS = { calm: 170_000, recovery: 20_000 } as const;
/** What the page shows comes once a second; the machine may be busy. */
const WITHIN_MS = 40_000;
const DESKTOP = { width: 1280, height: 1210 };

const command = installedChromium();
if (command === undefined) {
  test('the dashboard', { skip: 'Chromium is not installed (apt-get install chromium)' }, () => undefined);
} else {
  useDashboard(await openDashboardWorld(await testStack()), await startBrowser(command));
}

function useDashboard(world: DashboardWorld, browser: Browser): void {
  /** The one that an operator leaves open through everything. */
  let page: Page;
  let stopReaders = () => Promise.resolve();
  const complaints: string[] = [];
  const hosts = new Set<string>();

  before(async () => {
    page = await open();
  });
  after(() => stopReaders());

  /** Another tab; what it complains of, and where it asks, is noted. */
  async function open(options: BrowserContextOptions = {}, hash = ''): Promise<Page> {
    const context = await browser.newContext({ viewport: DESKTOP, ...options });
    context.setDefaultTimeout(WITHIN_MS);
    const opened = await context.newPage();
    opened.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
    opened.on('pageerror', (error) => complaints.push(String(error)));
    opened.on('request', (request) => hosts.add(new URL(request.url()).origin));
    await opened.goto(`${world.url}/-/ui${hash}`);
    return opened;
  }

  /** Of the window, from the top; or of one section, and a margin. */
  async function picture(of: Page, name: string, section?: string): Promise<void> {
    if (pictures === undefined) return;
    mkdirSync(pictures, { recursive: true });
    await of.evaluate('scrollTo(0, 0)');
    const path = join(pictures, `${name}.png`);
    const box = section === undefined ? null : await of.getByRole('region', { name: section }).first().boundingBox();
    if (box === null) await of.screenshot({ path });
    else {
      const clip = { x: 0, y: box.y - PICTURED_MARGIN, width: DESKTOP.width, height: box.height + 2 * PICTURED_MARGIN };
      await of.screenshot({ path, clip, fullPage: true });
    }
  }

  const heading = (of: Page) => of.getByRole('heading', { level: 2 }).first();
  const shardRow = (of: Page, shard: string) =>
    of.getByRole('table', { name: 'Shards, ring by ring' }).getByRole('row', { name: new RegExp(`^${shard} `) });
  const reading = async (of: Page, figure: string): Promise<number> => {
    const text = await of.getByRole('article', { name: figure }).locator('.value').innerText();
    return text === '–' ? Number.NaN : Number(text.replaceAll(',', '').replace('< ', ''));
  };
  async function lookUp(of: Page, key: string): Promise<void> {
    await of.getByRole('textbox', { name: 'Key' }).fill(key);
    await of.getByRole('button', { name: 'Look up' }).click();
  }
  const places = (of: Page) => of.getByRole('table', { name: /changes followed/ });

  test('opens: it is live, says that all is well, and the ring has a table behind it', async () => {
    await page.getByText('live', { exact: true }).waitFor();
    await page.getByRole('heading', { name: 'All 5 shards answer.' }).waitFor();
    const ring = (await (await fetch(`${world.url}/-/ring`)).json()) as {
      layers: { shards: { shard: string; share: number }[] }[];
    };
    for (const { shard, share } of ring.layers.flatMap(({ shards }) => shards)) {
      const percent = (Math.floor(share * 1_000) / 10).toFixed(1);
      const told = await shardRow(page, shard).innerText();
      assert.match(told, new RegExp(`^${shard}\\s+●?\\s*ok[^]*${percent} %\\s+\\d\\d:\\d\\d:\\d\\d\\s+[\\d.]+ m?s$`));
    }
    await page.getByRole('img', { name: /^2 rings\. primary: r1 \d+ %, ok; .*fallback: f1/ }).waitFor();
  });

  test('every part has its place and its name', async () => {
    const tree = await page.locator('body').ariaSnapshot();
    for (const part of [
      /- banner:\n\s+- heading "ringfill" \[level=1\]/,
      /- group "Colours":[^]*- radio "Auto" \[checked\]/,
      /- main:/,
      /- region "Figures":\n\s+- heading "Figures" \[level=2\]/,
      /- article "Hit ratio":/,
      /- img "Hit ratio over the last five minutes"/,
      /- region "Two journeys":/,
      /- search:\n\s+- text: Key\n\s+- textbox "Key"/,
      /- contentinfo:/,
      /- navigation "Elsewhere":/,
    ])
      assert.match(tree, part);
    assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1);
  });

  test('without requests the figures are still; under real requests they move, and so do the journeys', async () => {
    assert.equal(await reading(page, 'Requests'), 0);
    stopReaders = startReaders(world.url);
    await until('requests are seen', async () => (await reading(page, 'Requests')) > 20, WITHIN_MS);
    await until('hits are seen', async () => (await reading(page, 'Hit ratio')) > 20, WITHIN_MS);
    await until('latency is seen', async () => !Number.isNaN(await reading(page, 'Latency, p99')), WITHIN_MS);
    await until('lag is seen', async () => (await reading(page, 'Lag, worst')) > 0, WITHIN_MS);
    const throughOf = (name: string) => page.locator('.journey', { hasText: name });
    await throughOf('Read-through').locator('.arrow.flowing').first().waitFor();
    await throughOf('Mirror').locator('.arrow.flowing', { hasText: '% hits' }).waitFor();
    assert.match(await throughOf('Mirror').innerText(), /MySQL[^]*binlog[^]*worker[^]*RabbitMQ[^]*shard[^]*gateway/);
    assert.doesNotMatch(await throughOf('Mirror').innerText(), /not known here/, 'the sync worker beside it is asked');
    if (pictures !== undefined) await sleep(PICTURED_MS.calm);
    await picture(page, 'dashboard-calm');
    await picture(page, 'dashboard-journeys', 'Two journeys');
  });

  test('the figures stand in a table, too, which stands still while it is read', async () => {
    await page.getByText('The same as a table').click();
    const table = page.getByRole('table', { name: /One line for every/ });
    const first = await table.innerText();
    assert.match(first, /^One line for every 15 seconds\s+Time\s+Requests\s+Hit ratio\s+MySQL reads/);
    assert.match(first, /\d\d:\d\d:\d\d\s+[\d,.]+\/s/);
    const at = await page.locator('.number[title]').first().innerText();
    await until(
      'a second has passed',
      async () => (await page.locator('.number[title]').first().innerText()) !== at,
      WITHIN_MS,
    );
    assert.equal(await table.innerText(), first);
    await page.getByText('The same as a table').click();
  });

  test('a page that is opened now is not empty: it shows what was before', async () => {
    const fresh = await open();
    await fresh.getByText('live', { exact: true }).waitFor();
    await fresh.getByText('The same as a table').click();
    assert.ok(
      (await fresh
        .getByRole('table', { name: /One line for every/ })
        .getByRole('row')
        .count()) >= 2,
    );
    await fresh.context().close();
  });

  test('a key’s whole story: candidates, entry, MySQL’s word, and no denied column', async () => {
    await (await fetch(`${world.url}/test/users/8`)).text();
    await lookUp(page, 'test_users_8');
    await page.getByText('as MySQL says it now.').waitFor();
    const told = await places(page).innerText();
    assert.match(told, /\br[123]\s+primary\s+the row\s+yes\s+the shard vouches for it\s+[^]*= yes/);
    assert.match(told, /\bf[12]\s+fallback\s/);
    assert.match(told, /MySQL\s+the row/);
    const row = await page.getByRole('table', { name: /^The row, at/ }).innerText();
    assert.match(row, /username\s+"duobao153713223"/);
    assert.doesNotMatch(row, /email/);
    assert.equal(await page.locator('.arc.candidate').count(), 2, 'its arcs are marked in the ring');
    await picture(page, 'dashboard-key', 'A key’s story');
  });

  test('of a mirrored row, of a row that is not there, and of what is no key', async () => {
    await lookUp(page, 'shop/orders/8');
    await page.locator('#story-verdict', { hasText: 'have the row, as MySQL says it now.' }).waitFor();
    assert.match(await places(page).innerText(), /shop\.orders, mirror[^]*never/);
    await lookUp(page, 'shop/orders/99999999');
    await page.getByText('that there is no such row, as MySQL says it now.').waitFor();
    await lookUp(page, 'test/users/08');
    await page.getByText('The id is not in its canonical spelling.').waitFor();
    assert.equal(await page.locator('#story table').count(), 0);
    // The browser tells of it, too.
    await until('it has', () => complaints.length > 0, WITHIN_MS);
    assert.match(complaints.splice(0).join('\n'), /^error: .* status of 400 \(Bad Request\)$/);
  });

  test('a story can be passed on: its key is in the address', async () => {
    const friend = await open({}, '#key=test_users_8');
    await friend.getByText('as MySQL says it now.').waitFor();
    assert.equal(await friend.getByRole('textbox', { name: 'Key' }).inputValue(), 'test_users_8');
    await friend.context().close();
  });

  test('light as dark can be read: contrast as WCAG AA asks', async () => {
    const inPage = readFileSync(new URL('../support/in-page/poor-contrast.js', import.meta.url), 'utf8');
    await lookUp(page, 'test_users_8');
    await places(page).waitFor();
    // Colours that are on their way to others are none of either.
    await page.emulateMedia({ reducedMotion: 'reduce' });
    for (const theme of ['Dark', 'Light', 'Auto']) {
      await page.getByRole('radio', { name: theme }).check();
      if (theme === 'Dark') await picture(page, 'dashboard-dark');
      const { looked, poor } = (await page.evaluate(inPage)) as { looked: number; poor: string[] };
      assert.ok(looked > 80, `${looked} texts`);
      assert.deepEqual(poor, [], theme);
    }
    await page.emulateMedia({ reducedMotion: null });
  });

  test('dark where the system is, and where it is chosen, and so it stays', async () => {
    const ground = (of: Page) => of.evaluate('getComputedStyle(document.documentElement).backgroundColor');
    const dark = await open({ colorScheme: 'dark' });
    const night = await ground(dark);
    assert.notEqual(night, await ground(page));
    await dark.getByRole('radio', { name: 'Light' }).check();
    assert.equal(await ground(dark), await ground(page));
    await dark.reload();
    assert.equal(await ground(dark), await ground(page));
    assert.ok(await dark.getByRole('radio', { name: 'Light' }).isChecked());
    await dark.context().close();
  });

  test('in a narrow window nothing is wider than it, and all is still there', async () => {
    const narrow = await open({ viewport: { width: 360, height: 780 } }, '#key=test_users_8');
    await narrow.getByText('as MySQL says it now.').waitFor();
    assert.equal(await narrow.evaluate('document.documentElement.scrollWidth'), 360);
    await shardRow(narrow, 'f2').scrollIntoViewIfNeeded();
    await narrow.getByRole('region', { name: 'Two journeys' }).scrollIntoViewIfNeeded();
    await narrow.evaluate('scrollTo(0, 0)');
    await narrow.setViewportSize({ width: 390, height: 1500 });
    await picture(narrow, 'dashboard-narrow');
    await narrow.context().close();
  });

  test('nothing glides where reduced motion is asked for', async () => {
    const glide = (of: Page) =>
      of.evaluate('getComputedStyle(document.querySelector(".arc .ground")).transitionDuration');
    const still = await open({ reducedMotion: 'reduce' });
    await still.locator('.arrow.flowing').first().waitFor();
    assert.equal(await glide(still), '0s');
    assert.equal(await glide(page), '0.4s');
    await still.context().close();
  });

  test('by the keyboard alone: past the head, another colour, a key looked up; the focus is seen everywhere', async () => {
    const tab = await open();
    await tab.getByRole('heading', { name: 'All 5 shards answer.' }).waitFor();
    const focused = () => tab.evaluate('document.activeElement.value ?? document.activeElement.textContent.trim()');
    const outline = () =>
      tab.evaluate('getComputedStyle(document.activeElement.closest("label") ?? document.activeElement).outlineStyle');
    await tab.keyboard.press('Tab');
    assert.equal(await focused(), 'Skip to the figures');
    await tab.keyboard.press('Tab');
    assert.equal(await focused(), 'auto');
    assert.equal(await outline(), 'solid');
    await tab.keyboard.press('ArrowRight');
    await tab.keyboard.press('ArrowRight');
    assert.equal(await tab.evaluate('document.documentElement.dataset.theme'), 'dark');
    const stops: unknown[] = [];
    while (!(await tab.getByRole('textbox', { name: 'Key' }).evaluate((input) => input.matches(':focus')))) {
      await tab.keyboard.press('Tab');
      stops.push(await focused());
      assert.equal(await outline(), 'solid', String(stops.at(-1)));
      assert.ok(stops.length < 20, `never came to the key: ${stops.join(', ')}`);
    }
    await tab.keyboard.type('test/users/8');
    await tab.keyboard.press('Enter');
    await tab.getByText('as MySQL says it now.').waitFor();
    await tab.context().close();
  });

  test('a killed shard: said in words and by a sign, its keys answered elsewhere, and read out once', async () => {
    const announcer = page.locator('#announcer');
    await page.evaluate(`{
      window.said = [];
      const announcer = document.getElementById('announcer');
      new MutationObserver(() => window.said.push(announcer.textContent)).observe(announcer, { childList: true });
    }`);
    await kill(world.shards['r2'] ?? assert.fail());
    await page.getByRole('heading', { name: /^r2 is down; its keys are answered elsewhere\.$/ }).waitFor();
    assert.equal(await announcer.innerText(), 'r2 is down; its keys are answered elsewhere.');
    assert.match(await shardRow(page, 'r2').innerText(), /✕\s*down\s*out of use: the next ring answers for it/);
    assert.match((await page.locator('.arc[data-kind="bad"] text').textContent()) ?? '', /^r2 ✕$/);
    await page.getByRole('img', { name: /r2 \d+ %, down/ }).waitFor();
    await page.getByText('4 of 5').waitFor();
    assert.match(await page.title(), /^r2 is down/);
    await until('requests go on', async () => (await reading(page, 'Requests')) > 20, WITHIN_MS);
    assert.equal(await reading(page, 'Problems'), 0);
    if (pictures !== undefined) await sleep(PICTURED_MS.recovery);
    await picture(page, 'dashboard-shard-down');
    await lookUp(page, keyOf('r2'));
    await page.getByText('not reached').waitFor();
    assert.match(await places(page).innerText(), /r2\s+primary\s+not reached\s+no\s+the shard is down/);
    const said = (await page.evaluate('window.said')) as string[];
    assert.equal(said.filter((sentence) => sentence.startsWith('r2 is down')).length, 1, said.join(' '));
  });

  test('back again: all is well, and it says that it is being refilled', async () => {
    await world.shards['r2']?.restart();
    await page.getByRole('heading', { name: 'All 5 shards answer.' }).waitFor({ timeout: 60_000 });
    assert.match(await shardRow(page, 'r2').innerText(), /ok\s*refilling since \d\d:\d\d:\d\d/);
    if (pictures !== undefined) await sleep(PICTURED_MS.recovery);
    await picture(page, 'dashboard-recovery');
    const said = (await page.evaluate('window.said')) as string[];
    assert.equal(said.at(-1), 'All 5 shards answer.');
    assert.ok(said.length <= 5, `read out: ${said.join(' ')}`);
  });

  test('a gateway that asks for a key: it is asked for once, sent to the gateway, and forgotten with the tab', async () => {
    const context = await browser.newContext({ viewport: DESKTOP });
    context.setDefaultTimeout(WITHIN_MS);
    // No key is configured: what a gateway with keys would answer, in front of the real one.
    const asked: (string | undefined)[] = [];
    for (const path of ['/-/ui/events', '/-/ring/story?*']) {
      await context.route(world.url + path, async (route) => {
        const { authorization } = route.request().headers();
        asked.push(authorization);
        if (authorization === 'Bearer right') await route.continue();
        else await route.fulfill({ status: 401, json: { title: 'No key', detail: 'Send one.' } });
      });
    }
    const tab = await context.newPage();
    await tab.goto(`${world.url}/-/ui`);
    const dialog = tab.getByRole('dialog', { name: 'This gateway asks for a key' });
    for (const key of ['wrong', 'right']) {
      await dialog.getByLabel('Key', { exact: true }).fill(key);
      await tab.keyboard.press('Enter');
      await until(`${key} is sent`, () => asked.at(-1) === `Bearer ${key}`, WITHIN_MS);
    }
    await tab.getByText('live', { exact: true }).waitFor();
    await lookUp(tab, 'test_users_8');
    await places(tab).waitFor();
    assert.deepEqual(asked, [undefined, 'Bearer wrong', 'Bearer right', 'Bearer right']);
    assert.equal(await tab.evaluate('JSON.stringify({ ...localStorage }).includes("right")'), false);
    await context.close();
  });

  test('an admin takes a row out of the cache: not offered without keys; asked for an admin key; told what became of it', async () => {
    await lookUp(page, 'test_users_8');
    await places(page).waitFor();
    const button = (of: Page) => of.getByRole('button', { name: 'Invalidate' });
    assert.equal(await button(page).count(), 0, 'this gateway asks for no keys');

    const guarded = await startGuarded();
    // The browser asks for a user and a password, and the password is the key.
    const httpCredentials = { username: 'me', password: guarded.reader };
    const context = await browser.newContext({ viewport: DESKTOP, httpCredentials });
    context.setDefaultTimeout(WITHIN_MS);
    const tab = await context.newPage();
    await tab.goto(`${guarded.url}/-/ui#key=test/users/8`);
    await tab.getByText('live', { exact: true }).waitFor();
    await giveKey(tab, 'This gateway asks for a key', guarded.reader);
    await fetch(`${guarded.url}/test/users/8`, { headers: { authorization: `Bearer ${guarded.reader}` } });
    await lookUp(tab, 'test/users/8');
    const verdict = tab.locator('#story-verdict');
    await verdict.getByText('as MySQL says it now.').waitFor();

    // By the keyboard: the button follows the form.
    await button(tab).focus();
    await tab.keyboard.press('Enter');
    await giveKey(tab, 'This wants an admin key', guarded.reader);
    await verdict.getByText('The API key is not for this.').waitFor();
    assert.equal(
      await tab
        .getByRole('table', { name: /by TTL/ })
        .getByText('= yes')
        .count(),
      1,
      'it is where it was',
    );

    await button(tab).click();
    await giveKey(tab, 'This wants an admin key', guarded.admin);
    await verdict
      .getByText(/^Taken out of r\d\. MySQL has the row, and no shard: the next request fetches it\.$/)
      .waitFor();
    assert.ok(await button(tab).evaluate((element) => element.matches(':focus')), 'the focus stays where it was');
    assert.equal(
      await tab
        .getByRole('table', { name: /by TTL/ })
        .getByText('= yes')
        .count(),
      0,
    );
    // Known now, and not to be found by another page.
    await tab.keyboard.press('Enter');
    await verdict.getByText(/^No shard that answers had it\./).waitFor();
    const kept = await tab.evaluate('JSON.stringify([{ ...localStorage }, { ...sessionStorage }])');
    assert.ok(!String(kept).includes(guarded.admin));
    await context.close();
  });

  async function giveKey(tab: Page, dialog: string, key: string): Promise<void> {
    await tab.getByRole('dialog', { name: dialog }).getByLabel('Key', { exact: true }).fill(key);
    await tab.keyboard.press('Enter');
  }

  test('a gateway that goes away is missed; when it is back, so is the page, by itself', async () => {
    await world.gateway.stop();
    await page.getByText('no connection; trying again').waitFor();
    // A refused connection is told by the browser itself.
    const expected = complaints
      .splice(0)
      .filter((complaint) => !/ERR_(?:CONNECTION_REFUSED|INCOMPLETE_CHUNKED)/.test(complaint));
    assert.deepEqual(expected, []);
    await world.gateway.start();
    await page.getByText('live', { exact: true }).waitFor();
    await heading(page).waitFor();
    complaints.splice(0);
  });

  test('a page that is closed leaves nothing behind in the gateway', async () => {
    await Promise.all(browser.contexts().map((context) => context.close()));
    const leaving = new AbortController();
    for (let n = 1; n <= 32; n += 1) {
      await until(`stream ${n} is let in`, async () => {
        const answer = await fetch(`${world.url}/-/ui/events`, { signal: leaving.signal });
        return answer.ok;
      });
    }
    leaving.abort();
  });

  test('through all of that no page complained, and none asked another host', () => {
    assert.deepEqual(complaints, []);
    assert.deepEqual([...hosts], [world.url]);
  });

  /** A key of users whose owner in the first ring is that shard; found below. */
  function keyOf(shard: string): string {
    return keysOf[shard] ?? assert.fail(shard);
  }
  const keysOf: Record<string, string> = {};
  before(async () => {
    for (let id = 1; id <= 100; id += 1) {
      const key = `test_users_${id}`;
      const answer = await fetch(`${world.url}/-/ring/owner?key=${encodeURIComponent(key)}`);
      const { candidates } = (await answer.json()) as { candidates: { shard: string }[] };
      keysOf[candidates[0]?.shard ?? ''] ??= key;
    }
  });
}

/** A gateway that asks for keys, without sync. */
async function startGuarded(): Promise<{ readonly url: string; readonly reader: string; readonly admin: string }> {
  const keysFile = join(temporaryFolder(), 'keys.json');
  const create = async (admin: boolean): Promise<string> => {
    const { text, id, sha256 } = newKey();
    const created = new Date().toISOString();
    await changeKeyFile(keysFile, (keys) => [...keys, { id, sha256, created, name: 'test', tables: ['*'], admin }]);
    return text;
  };
  const [reader, admin] = [await create(false), await create(true)];
  const { url } = await startGateway(await testStack(), { tables: { 'test.users': {} }, access: { keysFile } });
  return { url, reader, admin };
}

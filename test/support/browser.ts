/** A real browser: Debian's Chromium, or whichever is installed, driven by Playwright. */
import { spawnSync } from 'node:child_process';
import { after } from 'node:test';
import { type Browser, chromium } from 'playwright-core';

/** Debian's package, and its command. */
export const CHROMIUM = 'chromium';
const COMMANDS = [CHROMIUM, 'chromium-browser', 'google-chrome'];

/** Nothing where there is none. */
export function installedChromium(): string | undefined {
  return COMMANDS.find((command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0);
}

/** Gone when the test file ends. */
export async function startBrowser(command: string): Promise<Browser> {
  const { stdout } = spawnSync('sh', ['-c', `command -v ${command}`], { encoding: 'utf8' });
  const browser = await chromium.launch({ executablePath: stdout.trim() });
  after(() => browser.close());
  return browser;
}

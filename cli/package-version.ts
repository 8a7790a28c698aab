import { existsSync, readFileSync } from 'node:fs';

/** package.json stands one folder up in a checkout, and two from the compiled dist/cli. */
export function packageVersion(): string {
  for (const place of ['../package.json', '../../package.json']) {
    const url = new URL(place, import.meta.url);
    if (!existsSync(url)) continue;
    const { version } = JSON.parse(readFileSync(url, 'utf8')) as { version: string };
    return version;
  }
  throw new Error('package.json is missing beside the program');
}

/** What a peer is told, by the file named in its argument. */
import { readFileSync } from 'node:fs';

export function settingsOf<Settings>(): Settings & { readonly port: number } {
  return JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Settings & { readonly port: number };
}

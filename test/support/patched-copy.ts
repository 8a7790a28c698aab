/**
 * A copy of the product with a part of it taken out, run as processes of its own: so that a test can be seen to turn red,
 * without a switch for it in the product.
 */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type * as RingfillProcesses from '../../stack/ringfill-process.ts';

const root = resolve(import.meta.dirname, '../..');
const FOLDERS = ['cli', 'client', 'gateway', 'shared', 'stack', 'sync-worker'];

export interface Patch {
  readonly file: string;
  /** It must stand there, once. */
  readonly part: string;
  readonly instead: string;
}

/** @returns what starts processes of the copy. */
export async function patchedCopy(folder: string, patches: readonly Patch[]): Promise<typeof RingfillProcesses> {
  for (const name of FOLDERS) cpSync(join(root, name), join(folder, name), { recursive: true });
  cpSync(join(root, 'package.json'), join(folder, 'package.json'));
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  for (const { file, part, instead } of patches) {
    const path = join(folder, file);
    const source = readFileSync(path, 'utf8');
    if (source.split(part).length !== 2) throw new Error(`${file} does not hold once: ${part}`);
    writeFileSync(
      path,
      source.replace(part, () => instead),
    );
  }
  return (await import(join(folder, 'stack/ringfill-process.ts'))) as typeof RingfillProcesses;
}

/** shared/stamp as the gateway uses it: as it is, or a copy with parts patched out of it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { StampReader } from '../../shared/stamp/stamp-reader.ts';
import { floorOf, isComplete, isTrusted, oldestFloorOf } from '../../shared/stamp/stamp.ts';
import { type Patch, patched } from './patch.ts';

export interface TrustRule {
  readonly StampReader: typeof StampReader;
  readonly floorOf: typeof floorOf;
  readonly oldestFloorOf: typeof oldestFloorOf;
  readonly isTrusted: typeof isTrusted;
  readonly isComplete: typeof isComplete;
}

export const TRUST_RULE: TrustRule = { StampReader, floorOf, oldestFloorOf, isTrusted, isComplete };

const FOLDER = join(import.meta.dirname, '../../shared/stamp');
const FILES = ['stamp.ts', 'stamp-reader.ts'] as const;

/** @param folder an empty one, for the copy. */
export async function patchedTrustRule(patches: readonly Patch[], folder: string): Promise<TrustRule> {
  const left = new Set(patches);
  for (const file of FILES) {
    const ours = patches.filter((patch) => patch.file === file);
    const source = patched(readFileSync(join(FOLDER, file), 'utf8'), ours);
    for (const patch of ours) left.delete(patch);
    const shared = pathToFileURL(join(FOLDER, '..')).href;
    writeFileSync(join(folder, file), source.replaceAll("from '../", `from '${shared}/`));
  }
  if (left.size > 0) throw new Error(`no such file: ${[...left].map(({ file }) => file).join(', ')}`);
  const load = async (file: string) => (await import(pathToFileURL(join(folder, file)).href)) as TrustRule;
  const [rule, { StampReader: Reader }] = await Promise.all([load('stamp.ts'), load('stamp-reader.ts')]);
  return { ...rule, StampReader: Reader };
}

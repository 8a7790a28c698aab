/** The end of every command that changes the rings: show the change, or write it and say what comes next. */
import type { RingConfig } from '../../shared/config/schema.ts';
import type { ConfigFile, EditedFile } from './config-file.ts';
import { unifiedDiff } from './text-diff.ts';

export interface SaveOptions {
  readonly dryRun: boolean;
  /** What was changed and what that means, line by line. */
  readonly describe: (edited: EditedFile) => string;
  /** Where all of this goes; by default to standard output. */
  readonly tell?: ((text: string) => void) | undefined;
}

/** Throws SetupError; the file is then as it was. */
export async function saveRings(
  file: ConfigFile,
  rings: readonly RingConfig[],
  { dryRun, describe, tell = (text) => process.stdout.write(text) }: SaveOptions,
): Promise<void> {
  const edited = file.with(rings);
  if (dryRun) {
    tell(unifiedDiff(file.path, file.text, edited.text));
    return;
  }
  const text = describe(edited);
  await file.replace(edited);
  tell(`${file.path} is written.\n${text}${NEXT}`);
}

const NEXT = `
Next, on every machine that has this file: reload the sync worker, then each gateway (kill -HUP). Any order is safe, and so
is any mix of old and new; in this one the fewest keys are read anew.
`;

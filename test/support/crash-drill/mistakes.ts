/** A sync worker that does something wrong, so that the drill can be seen to turn red: RINGFILL_DRILL_MISTAKE. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { type Patch, patchedCopy } from '../patched-copy.ts';

const HERE = 'test/support/crash-drill';
const SCRIPT = 'sync-worker-to-kill.ts';

/** The changes count as confirmed as soon as they are sent. */
const CHECKPOINT_BEFORE_CONFIRM: Patch = {
  file: 'sync-worker/capture/capture-run.ts',
  part: 'const confirm = this.#confirmed.sent();',
  instead: 'const settle = this.#confirmed.sent();\n    settle();\n    const confirm = () => undefined;',
};

/** What lies between two messages is taken for nothing. */
const GAPS_GONE_OVER: Patch = {
  file: 'shared/shard/scripts/apply.lua',
  part: '  stamp.to = batch.from\n  stamp.floor = batch.from\nend',
  instead: 'end',
};

const MISTAKES: Readonly<Record<string, readonly Patch[]>> = {
  'checkpoint-before-confirm': [CHECKPOINT_BEFORE_CONFIRM],
  'checkpoint-before-confirm,gaps-gone-over': [CHECKPOINT_BEFORE_CONFIRM, GAPS_GONE_OVER],
  'ack-before-apply': [
    {
      file: 'sync-worker/apply/shard-apply.ts',
      part: 'const outcome = await sent.outcome;',
      instead: 'acks.done(sent.message);\n    const outcome = await sent.outcome;',
    },
    {
      file: 'sync-worker/apply/shard-apply.ts',
      part: '    acks.done(sent.message);\n    return undefined;',
      instead: '    return undefined;',
    },
  ],
  'old-keys-are-left': [
    {
      file: 'sync-worker/capture/assembler/row-changes.ts',
      part: 'if (oldKey !== undefined && oldKey !== newKey)',
      instead: 'if (oldKey !== undefined && newKey === undefined)',
    },
  ],
};

/** @returns the script of a copy that makes the mistake. */
export async function scriptWith(mistake: string, folder: string): Promise<string> {
  const patches = MISTAKES[mistake];
  if (patches === undefined) throw new Error(`no such mistake; there are ${Object.keys(MISTAKES).join(' ')}`);
  await patchedCopy(folder, patches);
  cpSync(import.meta.dirname, join(folder, HERE), { recursive: true });
  return join(folder, HERE, SCRIPT);
}

/**
 * The file of API keys: JSON, one key a line, no secrets in it (api-key.ts).
 *
 *     {"keys":[
 *     {"id":"…","name":"orders page","sha256":"…","tables":["shop.orders"],"admin":false,"created":"…","expires":"…"}
 *     ]}
 *
 * Whoever can write to it can let himself in. So it is made with mode 0600, and refused where its group or all others may
 * write to it.
 */
import { closeSync, fstatSync, openSync, readFileSync, realpathSync, type Stats, statSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { Ajv, type ValidateFunction } from 'ajv';
import Type, { type Static } from 'typebox';
import { codeOf, messageOf, SetupError } from '../errors/errors.ts';

const closed = { additionalProperties: false } as const;

/** RFC 3339, in UTC. */
const TIME = '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?Z$';

/** What a key may read: a table as db.table, or * for every table that is exposed. */
export const TABLE_SCOPE = '^(\\*|[^.]+\\.[^.]+)$';

const KeyRecord = Type.Object(
  {
    id: Type.String({ pattern: '^[0-9a-f]{12}$' }),
    name: Type.String({ minLength: 1, maxLength: 128 }),
    sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    tables: Type.Array(Type.String({ pattern: TABLE_SCOPE })),
    admin: Type.Boolean(),
    created: Type.String({ pattern: TIME }),
    expires: Type.Optional(Type.String({ pattern: TIME })),
  },
  closed,
);

const KeyFile = Type.Object({ keys: Type.Array(KeyRecord, { maxItems: 100_000 }) }, closed);

export type KeyRecord = Static<typeof KeyRecord>;

const OTHERS_MAY_WRITE = 0o022;

let compiled: ValidateFunction<Static<typeof KeyFile>> | undefined;

/** Throws SetupError `keys-unusable`. No message quotes what stands in the file. */
export function readKeyFile(path: string): KeyRecord[] {
  const { text, mode } = contentsOf(path);
  if ((mode & OTHERS_MAY_WRITE) !== 0) {
    const octal = (mode & 0o777).toString(8).padStart(4, '0');
    throw unusable(path, `others than its owner may write to it (mode ${octal})`, `chmod 600 ${path}`);
  }
  return parse(text, path);
}

/**
 * Replaces what the file holds, as a whole or not at all, with the mode and the owner that it has. One at a time: while the new file is being written, another that
 * wants to change it is refused. Throws SetupError `keys-unusable`.
 */
export async function changeKeyFile(
  path: string,
  change: (keys: readonly KeyRecord[]) => readonly KeyRecord[],
): Promise<void> {
  const target = isThere(path) ? realpathSync(path) : path;
  const draft = `${target}.new`;
  let file;
  try {
    file = await open(draft, 'wx', 0o600);
  } catch (error) {
    const isLeft = codeOf(error) === 'EEXIST';
    const message = isLeft ? `${draft} is there: another command is at it, or was cut short` : messageOf(error);
    throw unusable(path, message, isLeft ? `if none is at it: rm ${draft}` : undefined, error);
  }
  try {
    const keys = change(isThere(path) ? readKeyFile(path) : []);
    try {
      if (isThere(path)) await takeAfter(file, statSync(target));
      await file.writeFile(`{"keys":[\n${keys.map((key) => JSON.stringify(key)).join(',\n')}\n]}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { force: true });
    throw error instanceof SetupError ? error : unusable(path, messageOf(error), undefined, error);
  }
}

/** Whoever was let read the file before is let read the new one: the gateway may run as another user. */
async function takeAfter(file: FileHandle, { mode, uid, gid }: Stats): Promise<void> {
  const own = await file.stat();
  if (own.uid !== uid || own.gid !== gid) await file.chown(uid, gid);
  await file.chmod(mode & 0o777);
}

function contentsOf(path: string): { text: string; mode: number } {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    const isAbsent = codeOf(error) === 'ENOENT';
    const message = isAbsent ? 'there is no such file' : messageOf(error);
    const mend = isAbsent
      ? `ringfill key create --keys-file ${path} --name … --table db.table`
      : 'make it a file that this user may read';
    throw unusable(path, message, mend, error);
  }
  try {
    // Of the file that is read, whatever takes its place meanwhile.
    return { text: readFileSync(file, 'utf8'), mode: fstatSync(file).mode };
  } catch (error) {
    throw unusable(path, messageOf(error), undefined, error);
  } finally {
    closeSync(file);
  }
}

function parse(text: string, path: string): KeyRecord[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // Its message quotes the text.
    throw unusable(path, 'it is not JSON', undefined, error);
  }
  compiled ??= new Ajv({ strict: false }).compile(KeyFile);
  if (!compiled(value)) {
    const [first] = compiled.errors ?? [];
    throw unusable(path, `${first?.instancePath || 'the file'} ${first?.message ?? 'does not fit'}`);
  }
  const ids = new Set<string>();
  for (const { id, expires } of value.keys) {
    if (ids.has(id)) throw unusable(path, `the id ${id} stands there twice`);
    if (expires !== undefined && Number.isNaN(Date.parse(expires)))
      throw unusable(path, `${id} expires at no such time`);
    ids.add(id);
  }
  return value.keys;
}

function isThere(path: string): boolean {
  try {
    realpathSync(path);
    return true;
  } catch {
    return false;
  }
}

function unusable(path: string, message: string, mend?: string, cause?: unknown): SetupError {
  const problem = { code: 'keys-unusable', where: path, message, ...(mend === undefined ? {} : { mend }) } as const;
  return new SetupError([problem], cause === undefined ? undefined : { cause });
}

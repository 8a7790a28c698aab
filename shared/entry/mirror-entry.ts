/**
 * What a shard holds under a mirrored row's key: a Redis hash with a field for each column, its text, as any Redis client
 * reads it (`HGETALL test_users_8`). NULL is an absent field. One field is ours:
 *
 *     :row   kind (1) version (45) shape (8)
 *            kind: R a row; T there is one, too large to be kept
 *
 * What Redis holds is not trusted: whatever does not decode counts as unknown.
 */
import { SHAPE_LENGTH, VERSION_LENGTH } from './entry.ts';

/** No column should be called so: one that is refuses the table. */
export const MIRROR_FIELD = ':row';

export interface MirrorEntry {
  readonly kind: 'row' | 'too-large';
  readonly version: string;
  readonly shape: string;
  /** By column name. */
  readonly texts: ReadonlyMap<string, string>;
}

/** A table of MySQL has at most 4,096 columns ("Limits on Table Column Count"), and one field is ours. */
const FIELDS_MAX = 4_097;

const SHAPE_AT = 1 + VERSION_LENGTH;
const OURS = /^[RT][0-9]{45}[A-Za-z0-9_-]{8}$/;

export function mirrorField(kind: MirrorEntry['kind'], version: string, shape: string): string {
  return `${kind === 'row' ? 'R' : 'T'}${version}${shape}`;
}

/** @param pairs as HGETALL replies: field, value, field, value, … Nothing where it is no entry of ours. */
export function decodeMirrorEntry(pairs: readonly Buffer[]): MirrorEntry | undefined {
  if (pairs.length > 2 * FIELDS_MAX || pairs.length % 2 !== 0) return undefined;
  const texts = new Map<string, string>();
  let ours: string | undefined;
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const field = (pairs[at] as Buffer).toString('utf8');
    const value = (pairs[at + 1] as Buffer).toString('utf8');
    if (field === MIRROR_FIELD) ours = value;
    else texts.set(field, value);
  }
  if (ours === undefined || !OURS.test(ours)) return undefined;
  return {
    kind: ours.startsWith('R') ? 'row' : 'too-large',
    version: ours.slice(1, SHAPE_AT),
    shape: ours.slice(SHAPE_AT, SHAPE_AT + SHAPE_LENGTH),
    texts,
  };
}

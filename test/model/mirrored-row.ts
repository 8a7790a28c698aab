/** What a mirrored row's content is in a shard, however it came there. */
import type { MirrorEntry } from '../../shared/entry/mirror-entry.ts';

/** Some are too large to be kept: a row's size is its content's. */
export function mirroredKind(content: number): MirrorEntry['kind'] {
  return content % 7 === 0 ? 'too-large' : 'row';
}

export function mirroredBody(content: number): Buffer {
  return mirroredKind(content) === 'row' ? Buffer.from(JSON.stringify({ content: String(content) })) : Buffer.alloc(0);
}

/** Nothing where it is too large to be told. */
export function contentOfMirrored({ kind, texts }: MirrorEntry): number | undefined {
  return kind === 'row' ? Number(texts.get('content')) : undefined;
}

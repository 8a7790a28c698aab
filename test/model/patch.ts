/** A part of a source left out or replaced, by its text. */
export interface Patch {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** Throws where the text is not there exactly once: the source changed, and the patch must follow. */
export function patched(source: string, patches: readonly Patch[]): string {
  let text = source;
  for (const { file, find, replace } of patches) {
    const found = text.split(find).length - 1;
    if (found !== 1) throw new Error(`${file} has ${found} times, not once: ${find}`);
    text = text.replace(find, () => replace);
  }
  return text;
}

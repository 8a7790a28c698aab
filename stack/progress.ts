// What a person who waits gets to see. Lines only, so that a terminal, a pipe and a CI log read alike.

/** One step of something that takes long enough to be worth a line. */
export type Progress =
  | { kind: 'starting'; server: string; detail: string }
  | { kind: 'ready'; server: string; detail: string; tookMs: number }
  | { kind: 'stopped'; server: string; tookMs: number }
  | { kind: 'note'; text: string };

export type OnProgress = (progress: Progress) => void;

export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

function lineOf(progress: Progress): string {
  switch (progress.kind) {
    case 'starting':
      return `  ${progress.server.padEnd(10)} ${progress.detail}`;
    case 'ready':
      return `  ${progress.server.padEnd(10)} ready: ${progress.detail} (${seconds(progress.tookMs)})`;
    case 'stopped':
      return `  ${progress.server.padEnd(10)} stopped (${seconds(progress.tookMs)})`;
    case 'note':
      return progress.text;
  }
}

export function printTo(stream: NodeJS.WritableStream): OnProgress {
  return (progress) => {
    stream.write(`${lineOf(progress)}\n`);
  };
}

/** Something that answers `GET /db/table/id`, to be measured beside the others. */
import type { LoadSpec } from '../generators/load-spec.ts';
import { withChildren } from '../harness/processor.ts';

export interface Peer {
  readonly name: string;
  /** What it is, in a few words. */
  readonly what: string;
  readonly target: Pick<LoadSpec, 'host' | 'port' | 'path' | 'expect'>;
  /** Those whose CPU time it takes to answer, Redis and MySQL left aside. */
  readonly processes: readonly { readonly pid: number }[];
}

/** Of every process of the peer, children included. */
export function pidsOf({ processes }: Peer): number[] {
  return processes.flatMap(({ pid }) => withChildren(pid));
}

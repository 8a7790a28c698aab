/**
 * What GTIDs prove: that a server has everything that was followed so far, and still has all that came after.
 *
 * MySQL: a set of transactions. MariaDB: a position (the last one of each replication domain), and the binlog's state
 * (the last one of each domain *and* server), which tells whether a transaction of another server is in its history.
 */
import { GtidSet } from '@vlasky/zongji';
import type { SqlServer } from '../../../shared/origin/server-version.ts';

type Flavour = SqlServer['flavour'];

/** What a server says of its own history; nothing where it keeps no GTIDs. */
export interface GtidHistory {
  readonly flavour: Flavour;
  /** MySQL: gtid_executed. MariaDB: gtid_binlog_state. */
  readonly executed: string;
  /** What its remaining binlogs do not hold any more. MySQL: gtid_purged. MariaDB: the position before its first file. */
  readonly purged: string;
}

/** Whether reading on from `followed` at this server leaves nothing out and passes over nothing that never was. */
export function provesContinuity(followed: string | undefined, history: GtidHistory | undefined): boolean {
  // A checkpoint of a MariaDB, say, at an address where MySQL answers now.
  if (followed === undefined || history === undefined || !isGtidList(history.flavour, followed)) return false;
  return hasExecuted(history, followed) && hasLeft(history, followed);
}

/** Whether all that was followed is in the server's history. */
export function hasExecuted({ flavour, executed }: GtidHistory, followed: string): boolean {
  if (flavour === 'mysql') return isSubset(followed, executed);
  const state = domainsAndServers(executed);
  return domainsAndServers(followed).every(({ domain, server, sequence }) =>
    state.some((last) => last.domain === domain && last.server === server && last.sequence >= sequence),
  );
}

/** Whether it can be read as what this flavour writes. */
function isGtidList(flavour: Flavour, text: string): boolean {
  try {
    if (flavour === 'mysql') GtidSet.parse(text);
    else domainsAndServers(text);
    return true;
  } catch {
    return false;
  }
}

/** Whether all that came after `followed` is still to be read. */
function hasLeft({ flavour, purged }: GtidHistory, followed: string): boolean {
  if (flavour === 'mysql') return isSubset(purged, followed);
  const known = domainsAndServers(followed);
  // Within a domain the sequence goes on over servers; the server looks again when it is asked to read on from there.
  return domainsAndServers(purged).every(({ domain, sequence }) =>
    known.some((last) => last.domain === domain && last.sequence >= sequence),
  );
}

function isSubset(part: string, whole: string): boolean {
  const joined = [part, whole].filter((set) => set.trim() !== '').join(',');
  return GtidSet.parse(joined).toString() === GtidSet.parse(whole).toString();
}

function domainsAndServers(list: string): { domain: string; server: string; sequence: bigint }[] {
  return list
    .split(',')
    .filter((gtid) => gtid.trim() !== '')
    .map((gtid) => {
      const [, domain = '', server = '', sequence = ''] = /^([0-9]+)-([0-9]+)-([0-9]+)$/.exec(gtid.trim()) ?? [];
      if (sequence === '') throw new RangeError(`not a GTID of MariaDB: ${gtid}`);
      return { domain, server, sequence: BigInt(sequence) };
    });
}

/** Keeps count of the transactions followed, from a known start on. */
export class FollowedGtids {
  readonly #flavour: Flavour;
  /** MySQL: up to the last fold. */
  #set: string | undefined;
  /** MySQL: runs since then, by source (`uuid` or `uuid:tag`). */
  readonly #runs = new Map<string, { first: number; last: number }>();
  /** MariaDB: the last of each domain. */
  readonly #lastOf = new Map<string, string>();
  /**
   * MySQL names a transaction as executed only after its commit. So the newest of the server's own that lie behind the
   * start may be missing, until the first of its own after the start has come, and all before that is in the set.
   */
  #ownTail: { readonly uuid: string; first: number | undefined } | undefined;

  /**
   * @param start all that was followed before; nothing where that is not known: then it never will be.
   * @param ownUuid the server's own; MySQL.
   */
  constructor(flavour: Flavour, start: string | undefined, ownUuid?: string) {
    this.#flavour = flavour;
    this.#set = start;
    if (flavour === 'mysql' && ownUuid !== undefined) this.#ownTail = { uuid: ownUuid, first: undefined };
    if (start === undefined || flavour === 'mysql') return;
    for (const { domain, server, sequence } of domainsAndServers(start)) {
      this.#lastOf.set(domain, `${domain}-${server}-${sequence}`);
    }
  }

  /** A transaction without a GTID ends the count: a set that lacks it would prove too much. */
  add(gtid: string | undefined): void {
    if (this.#set === undefined) return;
    if (gtid === undefined) this.#set = undefined;
    else if (this.#flavour === 'mariadb') this.#lastOf.set(gtid.slice(0, gtid.indexOf('-')), gtid);
    else {
      this.#addToRun(gtid);
      this.#lookAtTail(gtid);
    }
  }

  /**
   * MySQL only: a set of which all is known to lie behind. It names a transaction as executed only after its commit, so
   * what was read at the start may lack some that lie behind it; later sets bring them.
   */
  merge(set: string): void {
    if (this.#flavour !== 'mysql' || this.#set === undefined || set.trim() === '') return;
    this.#set = this.#set === '' ? set : `${this.#set},${set}`;
    this.#fold();
    this.#lookAtTail();
  }

  /** The same, where it is known to lack nothing: by it a replica is asked whether it has all. */
  get complete(): string | undefined {
    return this.#ownTail === undefined ? this.text : undefined;
  }

  /** Nothing where it is not known. */
  get text(): string | undefined {
    if (this.#set === undefined) return undefined;
    if (this.#flavour === 'mariadb') return [...this.#lastOf.values()].join(',');
    if (this.#runs.size > 0) this.#fold();
    return this.#set;
  }

  #lookAtTail(gtid?: string): void {
    const tail = this.#ownTail;
    if (tail === undefined) return;
    if (tail.first === undefined && gtid?.startsWith(`${tail.uuid}:`) === true) {
      const number = Number(gtid.slice(tail.uuid.length + 1));
      // A tagged one (`uuid:tag:1`) counts by itself.
      if (Number.isInteger(number)) tail.first = number;
    }
    if (tail.first === undefined) return;
    const isThere = tail.first === 1 || GtidSet.parse(this.text ?? '').contains(`${tail.uuid}:${tail.first - 1}`);
    if (isThere) this.#ownTail = undefined;
  }

  #addToRun(gtid: string): void {
    const colon = gtid.lastIndexOf(':');
    const source = gtid.slice(0, colon);
    const number = Number(gtid.slice(colon + 1));
    const run = this.#runs.get(source);
    if (run === undefined) this.#runs.set(source, { first: number, last: number });
    else if (number === run.last + 1) run.last = number;
    else if (number < run.first || number > run.last) {
      this.#fold();
      this.#runs.set(source, { first: number, last: number });
    }
  }

  #fold(): void {
    const runs = [...this.#runs].map(([source, { first, last }]) => `${source}:${first}-${last}`);
    this.#runs.clear();
    this.#set = GtidSet.parse([this.#set ?? '', ...runs].filter((part) => part !== '').join(',')).toString();
  }
}

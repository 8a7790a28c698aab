/**
 * One Redis, in the order in which things can go wrong: reached, logged in to, late enough, able to run the scripts
 * that fill entries, and set up as a cache wants it.
 *
 * The gateway's own client hides some of these (a login that is refused, a database that does not exist), so each step
 * is asked for by itself here. What is written is one entry under a key that no row can have, and it is removed again.
 */
import { randomBytes } from 'node:crypto';
import { Redis, type RedisOptions } from 'ioredis';
import type { Config } from '../../shared/config/schema.ts';
import { codeOf, messageOf } from '../../shared/errors/errors.ts';
import { isUntrusted } from '../../shared/errors/untrusted.ts';
import { VERSION_ZERO } from '../../shared/entry/entry.ts';
import { withinDeadline } from '../../shared/lifecycle/deadline.ts';
import { copiesOf } from '../../shared/origin/exposed-table.ts';
import { connect } from '../../shared/shard/connect.ts';
import { describeEndpoint, type Endpoint, redisOptions } from '../../shared/shard/endpoint.ts';
import { runFills, runLeases } from '../../shared/shard/fill-scripts.ts';
import { commandsOf } from '../../shared/shard/permissions.ts';
import { askToBeTold, INVALIDATIONS } from '../../shared/shard/near/change-feed.ts';
import { nearPrefixes } from '../../shared/shard/near/near-prefixes.ts';
import { defineScripts } from '../../shared/shard/scripts.ts';
import { clockFinding } from './check-origin.ts';
import type { Finding } from './finding.ts';
import { redisCli } from './redis-cli.ts';
import { isAtLeast } from '../../shared/origin/server-version.ts';

export interface ShardToCheck {
  readonly name: string;
  readonly ring: string;
  readonly endpoint: Endpoint;
}

export interface ShardReport {
  readonly findings: readonly Finding[];
  /** Which process it is, as it says itself; nothing if it does not tell. */
  readonly runId: string | undefined;
  readonly db: number;
}

/** ACL users came with 6.2's key patterns and reset rules; scripts replicate by effect from 5 on. */
const OLDEST = '6.2';
/** From here on a script can be flagged allow-oom, which the sync worker's needs. */
const OLDEST_FOR_SYNC = '7.0';

/** Longer than the gateway waits: a slow server is to be told from one that is not there. */
const DEADLINE_MS = 5_000;

/** The client's words for bytes that no Redis sends. */
const NOT_REDIS = /Protocol error|Unknown RESP type|Invalid RESP/i;

/** Of this command itself. */
const COMMANDS_OF_CHECK = ['select', 'info', 'time'];

/** What a Redis user that both processes and this command share has to be allowed, on all keys below the prefix. */
export function commandsNeeded({ sync }: Pick<Config, 'sync'>): readonly string[] {
  const ofBoth =
    sync === undefined ? commandsOf('gateway without sync') : [...commandsOf('gateway'), ...commandsOf('sync worker')];
  return [...new Set([...ofBoth, ...COMMANDS_OF_CHECK])];
}

export async function checkShard(shard: ShardToCheck, config: Config): Promise<ShardReport> {
  const check = new ShardCheck(shard, config);
  return await check.run();
}

class ShardCheck {
  readonly #shard: ShardToCheck;
  readonly #keyPrefix: string;
  readonly #commands: readonly string[];
  readonly #timeoutMs: number;
  /** What the keys begin with that the near cache may hold; nothing where there is none. */
  readonly #near: readonly string[] | undefined;
  /** Mirrored tables of which rows lie here. */
  readonly #mirrors: readonly string[];
  readonly #findings: Finding[] = [];
  readonly #options: RedisOptions;
  readonly #address: string;
  #cli: string;

  constructor(shard: ShardToCheck, config: Config) {
    this.#shard = shard;
    this.#keyPrefix = config.keyPrefix;
    this.#commands = commandsNeeded(config);
    this.#timeoutMs = config.shards.timeoutMs;
    this.#near = config.nearCache && nearPrefixes(config);
    this.#mirrors = mirrorsIn(shard, config);
    this.#options = redisOptions(shard.endpoint);
    this.#address = describeEndpoint(shard.endpoint);
    this.#cli = redisCli(shard.endpoint);
  }

  async run(): Promise<ShardReport> {
    const { username: _user, password: _password, db = 0, ...address } = this.#options;
    const redis = new Redis({
      ...address,
      protocol: 2,
      lazyConnect: true,
      connectTimeout: DEADLINE_MS,
      retryStrategy: () => null,
      enableOfflineQueue: false,
      enableReadyCheck: false,
      maxRetriesPerRequest: 0,
      disableClientInfo: true,
    } as RedisOptions & { replyMapping: 'legacy' });
    defineScripts(redis);
    let reported: Error | undefined;
    redis.on('error', (error: Error) => {
      reported = error;
    });
    let runId: string | undefined;
    try {
      await soon(redis.connect());
      if ((await this.#login(redis)) && (await this.#select(redis, db))) runId = await this.#look(redis);
    } catch (error) {
      this.#notReached(reported ?? error);
    } finally {
      redis.disconnect();
    }
    return { findings: this.#findings, runId, db };
  }

  #add(
    requirement: string,
    verdict: Finding['verdict'],
    found: string,
    more: { why?: string; mend?: string[]; neededFor?: 'sync' } = {},
  ): void {
    this.#findings.push({
      group: `shard ${this.#shard.name}, ring ${this.#shard.ring}`,
      requirement,
      verdict,
      found,
      ...more,
    });
  }

  #notReached(error: unknown): void {
    const { tls } = this.#options;
    const sentinel = typeof this.#shard.endpoint !== 'string';
    const foreign = NOT_REDIS.test(messageOf(error));
    const found = foreign ? 'what answers there is not Redis' : messageOf(error).trim();
    const advice = foreign
      ? `correct host and port; is it a server with TLS? Then write rediss://`
      : sentinel
        ? `see that the Sentinels run, that they know the group by this name, and that this machine reaches the master they name${tls === undefined ? '' : '; that they speak TLS, too, and that tls.caFile is of the authority that signed their certificates'}`
        : isUntrusted(error)
          ? 'name the authority that signed its certificate (?ca=/path), and the host as the certificate does (or ?servername=)'
          : adviceOn(codeOf(error), tls !== undefined);
    this.#add('reachable', 'unmet', `${this.#address}: ${found}`, {
      why: 'The gateway goes round it: its rows are read from the next ring, or from MySQL.',
      mend: [`# ${advice}`, ...(sentinel ? [] : [`${this.#cli} PING`])],
    });
  }

  /** False if there is no getting in. */
  async #login(redis: Redis): Promise<boolean> {
    const { username, password } = this.#options;
    const stream = redis.stream as { remoteAddress?: string; remotePort?: number };
    let where = this.#address;
    if (typeof this.#shard.endpoint !== 'string' && stream.remoteAddress !== undefined) {
      const resolved = { host: stream.remoteAddress, port: stream.remotePort ?? 0 };
      this.#cli = redisCli(this.#shard.endpoint, resolved);
      where = `${this.#address} is ${resolved.host}:${resolved.port} now`;
    }
    let loginRefused: string | undefined;
    if (password !== undefined) {
      loginRefused = await refusalOf(username === undefined ? redis.auth(password) : redis.auth(username, password));
    }
    const started = performance.now();
    const pingRefused = await refusalOf(redis.ping());
    const tookMs = Math.round(performance.now() - started);
    if (pingRefused?.startsWith('DENIED') === true) {
      this.#add('reachable', 'unmet', `${where}: it is in protected mode and takes no one from another machine`, {
        why: 'The gateway goes round it.',
        mend: [
          '# on that machine: a password, or bind to the interface that the gateway uses',
          "redis-cli CONFIG SET requirepass '…'",
        ],
      });
      return false;
    }
    this.#add('reachable', 'met', `${where}, answered in ${tookMs} ms (shards.timeoutMs is ${this.#timeoutMs})`);
    const name = username ?? 'default';
    if (loginRefused?.startsWith('WRONGPASS') === true || (loginRefused !== undefined && pingRefused !== undefined)) {
      this.#add(
        'login',
        'unmet',
        `the password of ${name} is wrong, or the user is disabled (${firstWord(loginRefused)})`,
        {
          why: 'The gateway goes round a shard that refuses its login.',
          mend: [`# try the password that the configuration names`, `${this.#cli} PING`],
        },
      );
      return false;
    }
    if (pingRefused?.startsWith('NOAUTH') === true) {
      this.#add('login', 'unmet', 'it wants a password, and the configuration has none (NOAUTH)', {
        why: 'The gateway goes round a shard that refuses its login.',
        mend: [`# in the configuration: redis://:\${REDIS_PASSWORD}@${this.#address}`],
      });
      return false;
    }
    if (loginRefused !== undefined) {
      this.#add('login', 'warning', 'a password is configured, and this Redis has none', {
        why: 'Whoever reaches its port can read and change what is cached.',
        mend: [`${this.#cli.replace(' --askpass', '')} CONFIG SET requirepass '…'`],
      });
      return true;
    }
    if (pingRefused?.startsWith('NOPERM') === true) {
      this.#add('login', 'met', `as ${name}`);
      return true;
    }
    if (pingRefused !== undefined) {
      this.#add('login', 'unmet', pingRefused, { why: 'The gateway goes round it until it answers PING.' });
      return false;
    }
    this.#add('login', 'met', password === undefined ? 'none asked for' : `as ${name}`);
    return true;
  }

  /** A database that is not there would be taken for database 0, which may be another application's. */
  async #select(redis: Redis, db: number): Promise<boolean> {
    if (db === 0) return true;
    const refused = await refusalOf(redis.select(db));
    if (refused === undefined) {
      this.#add('database', 'met', String(db));
      return true;
    }
    this.#add('database', 'unmet', `${db}: ${refused}`, {
      why: 'What is cached would end up among another application’s keys.',
      mend: [
        `${this.#cli.replace(/ -n \d+/, '')} CONFIG GET databases`,
        '# take a database number below that, or use keyPrefix instead',
      ],
    });
    return false;
  }

  async #look(redis: Redis): Promise<string | undefined> {
    const info = await this.#info(redis);
    this.#version(info);
    if (info?.get('redis_mode') === 'cluster') {
      this.#add('mode', 'unmet', 'Redis Cluster', {
        why: 'A cluster decides itself where a key lives; ringfill’s rings do that.',
        mend: ['# give each shard a Redis of its own, in redis.conf: cluster-enabled no'],
      });
    }
    await this.#fills(redis, info);
    if (this.#near !== undefined) await this.#tellsOfChanges(redis, this.#near);
    this.#eviction(info);
    await this.#clock(redis);
    return info?.get('run_id');
  }

  async #info(redis: Redis): Promise<ReadonlyMap<string, string> | undefined> {
    let text: string;
    try {
      text = await soon(redis.info());
    } catch (error) {
      const found = `INFO is refused, so version and eviction are not known (${firstWord(messageOf(error))})`;
      this.#add('version', 'note', found, { mend: [this.#acl('+info')] });
      return undefined;
    }
    return new Map(
      text.split('\r\n').flatMap((line) => {
        const colon = line.indexOf(':');
        return colon === -1 ? [] : [[line.slice(0, colon), line.slice(colon + 1)] as const];
      }),
    );
  }

  #version(info: ReadonlyMap<string, string> | undefined): void {
    if (info === undefined) return;
    const version = info.get('redis_version') ?? '0';
    const valkey = info.get('valkey_version');
    const shown = valkey === undefined ? `Redis ${version}` : `Valkey ${valkey} (Redis ${version})`;
    if (!isAtLeast(version, OLDEST)) {
      this.#add('version', 'unmet', `${shown}; ${OLDEST} or later is needed`, {
        why: 'The scripts are not tried on older ones.',
      });
    } else if (!isAtLeast(version, OLDEST_FOR_SYNC)) {
      const why = 'A full Redis would refuse changes: scripts that may write then came with 7.0.';
      this.#add('version', 'warning', `${shown}; ${OLDEST_FOR_SYNC} or later is needed`, { why, neededFor: 'sync' });
    } else {
      this.#add('version', 'met', shown);
    }
  }

  /** By doing it: a lease, asked for twice; a fill (which gives it back), a read; all under the configured prefix. */
  async #fills(redis: Redis, info: ReadonlyMap<string, string> | undefined): Promise<void> {
    const key = `${this.#keyPrefix}ringfill:check:${randomBytes(6).toString('hex')}`;
    const asked = { entryKey: key, token: 'check' };
    let step = 'EVALSHA';
    try {
      const terms = { followed: undefined, shape: 'check', leaseTtlMs: 1_000, over: 'entry' } as const;
      await soon(runLeases(redis, terms, [asked, asked]));
      const row = { ...asked, version: VERSION_ZERO, stored: Buffer.from('check'), ttlMs: 1_000 };
      await soon(runFills(redis, undefined, [row]));
      step = 'MGET';
      await soon(redis.mgetBuffer([key]));
      step = 'DEL';
      await soon(redis.del(key));
      this.#add('fills', 'met', 'a lease, a fill and a read by its scripts');
    } catch (error) {
      this.#add('fills', 'unmet', ...this.#explainFill(messageOf(error), step, info));
    }
  }

  /** By doing it, as the gateway's near cache does. */
  async #tellsOfChanges(redis: Redis, prefixes: readonly string[]): Promise<void> {
    const channel = `${this.#keyPrefix}ringfill:near:check`;
    let other: Redis | undefined;
    try {
      other = (await connect(this.#shard.endpoint, 0, DEADLINE_MS)).redis;
      await askToBeTold(other, { prefixes, channel, inTime: (ask) => soon(ask()) });
      await soon(redis.pubsub('NUMSUB', channel));
      this.#add('near cache', 'met', 'it tells of changes');
    } catch (error) {
      const rules = `+client|id +client|tracking +subscribe +pubsub|numsub &${INVALIDATIONS} &${this.#keyPrefix}ringfill:near:*`;
      this.#add('near cache', 'warning', messageOf(error), {
        why: 'Rows of this shard are not kept in the gateways’ memory; everything else goes on without.',
        mend: [this.#acl(rules)],
      });
    } finally {
      other?.disconnect();
    }
  }

  #explainFill(
    message: string,
    step: string,
    info: ReadonlyMap<string, string> | undefined,
  ): [string, { why: string; mend?: string[] }] {
    const why = 'Rows that it owns could not be stored: each would be read from MySQL each time.';
    if (/READONLY|can't write against a read only replica/.test(message)) {
      const master = info?.get('master_host');
      const found = `it is a read-only replica${master === undefined ? '' : ` of ${master}:${info?.get('master_port')}`}`;
      return [
        found,
        {
          why,
          mend: [
            '# name the master instead, or the Sentinel group; or make it a master',
            `${this.#cli} REPLICAOF NO ONE`,
          ],
        },
      ];
    }
    if (/NOPERM|no permissions to|ACL failure|can't run this command/i.test(message)) {
      return [
        `${step}: ${message}`,
        { why, mend: [this.#acl(`~${this.#keyPrefix}* ${this.#commands.map((command) => `+${command}`).join(' ')}`)] },
      ];
    }
    if (message.includes('OOM')) {
      return [
        'it is full, and evicts nothing (OOM)',
        { why, mend: [`${this.#cli} CONFIG SET maxmemory-policy allkeys-lru`] },
      ];
    }
    if (message.includes('MISCONF')) {
      const mend = [`# mend its disk; a cache needs none`, `${this.#cli} CONFIG SET save ''`];
      return ['it cannot save to its disk, and refuses writes until it can (MISCONF)', { why, mend }];
    }
    if (/unknown command/i.test(message)) {
      return [
        `${step} is not a command here`,
        { why, mend: ['# a proxy, or a rename-command in redis.conf: scripts must be allowed'] },
      ];
    }
    return [`${step}: ${message}`, { why }];
  }

  #acl(rules: string): string {
    const admin = this.#cli.replace(/ --user (?:'[^']*'|\S+)/, '');
    return `${admin} ACL SETUSER ${this.#options.username ?? 'default'} ${rules.replaceAll(/([~&]\S*|\S*\|\S*)/g, "'$1'")}`;
  }

  #eviction(info: ReadonlyMap<string, string> | undefined): void {
    const policy = info?.get('maxmemory_policy');
    if (policy === undefined) return;
    const limit = Number(info?.get('maxmemory') ?? 0);
    const found = `maxmemory ${info?.get('maxmemory_human') ?? limit}, ${policy}`;
    if (this.#mirrors.length > 0) {
      this.#evictionOfMirrors(policy, limit, found);
      return;
    }
    const mend = [
      `${this.#cli} CONFIG SET maxmemory-policy allkeys-lru`,
      '# and in redis.conf: maxmemory-policy allkeys-lru',
    ];
    if (limit === 0) {
      this.#add('eviction', 'note', 'no maxmemory: it grows until the machine’s memory ends', {
        mend: [`${this.#cli} CONFIG SET maxmemory 1gb`, ...(policy === 'noeviction' ? mend.slice(0, 1) : [])],
      });
    } else if (policy === 'noeviction') {
      const why = 'Once it is full nothing more is stored: every other row is read from MySQL each time.';
      this.#add('eviction', 'warning', found, { why, mend });
    } else if (policy === 'volatile-ttl') {
      const why = 'It evicts what expires soonest, which is the leases: rows are then read and not stored.';
      this.#add('eviction', 'warning', found, { why, mend });
    } else {
      this.#add('eviction', 'met', found);
    }
  }

  /** Their rows have no TTL, so that only allkeys-… evicts them; what is cached beside them has one. */
  #evictionOfMirrors(policy: string, limit: number, found: string): void {
    const named = this.#mirrors.join(', ');
    if (policy.startsWith('allkeys-')) {
      this.#add('eviction', 'unmet', `${found}, and rows of ${named} lie here`, {
        why: 'A mirror’s row that was evicted would be taken for one that does not exist: the shard is never held for complete.',
        mend: [
          `${this.#cli} CONFIG SET maxmemory-policy volatile-lru`,
          '# and in redis.conf: maxmemory-policy volatile-lru',
        ],
      });
    } else if (limit === 0) {
      this.#add('eviction', 'note', `no maxmemory, ${policy}: it grows until the machine’s memory ends`, {
        mend: [`# room for all rows of ${named}`, `${this.#cli} CONFIG SET maxmemory 1gb`],
      });
    } else {
      this.#add('eviction', 'met', found);
    }
  }

  async #clock(redis: Redis): Promise<void> {
    const before = Date.now();
    let reply: [number, number];
    try {
      reply = await soon(redis.time() as Promise<[number, number]>);
    } catch {
      // Not allowed to ask; then it is not known, and that is all.
      return;
    }
    const after = Date.now();
    const theirs = Number(reply[0]) * 1000 + Number(reply[1]) / 1000;
    const { group: _group, ...finding } = clockFinding('', Math.round(theirs - (before + after) / 2), after - before);
    this.#findings.push({ ...finding, group: `shard ${this.#shard.name}, ring ${this.#shard.ring}` });
  }
}

function mirrorsIn({ name, ring }: ShardToCheck, { tables, defaults, rings }: Config): string[] {
  const layer = rings.findIndex((one) => one.name === ring);
  return Object.entries(tables)
    .filter(([, table]) => (table.mode ?? defaults.mode) === 'mirror')
    .filter(([, table]) => (table.shard === undefined ? layer < copiesOf(table, { defaults }) : table.shard === name))
    .map(([label]) => label);
}

function soon<T>(work: Promise<T>): Promise<T> {
  return withinDeadline(work, DEADLINE_MS, () => new Error(`no answer within ${DEADLINE_MS} ms`));
}

/** What Redis answers instead; nothing if it does as told. Other errors are thrown. */
async function refusalOf(command: Promise<unknown>): Promise<string | undefined> {
  try {
    await soon(command);
    return undefined;
  } catch (error) {
    if (error instanceof Error && error.name === 'ReplyError') return error.message;
    throw error;
  }
}

function firstWord(message: string): string {
  return message.split(' ')[0] ?? message;
}

function adviceOn(code: string | undefined, tls: boolean): string {
  switch (code ?? '') {
    case 'ECONNREFUSED':
      return 'nothing listens there: start this Redis, or correct host and port; see its bind setting too';
    case 'ENOENT':
      return 'there is no such socket: start this Redis, or correct the path';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'that name does not resolve here: correct the host';
    default:
      return tls
        ? 'see that it runs, that this machine may reach it (firewall), that this port speaks TLS, and that its certificate is trusted (?ca=/path)'
        : 'see that it runs, that this machine may reach it (firewall), and that it is a Redis without TLS that listens there';
  }
}

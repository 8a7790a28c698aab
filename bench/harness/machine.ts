/** On what a run was made: without it no figure says anything. */
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem, type } from 'node:os';
import { spawnSync } from 'node:child_process';
import { Redis } from 'ioredis';
import { packageVersion } from '../../cli/package-version.ts';
import type { Ground } from '../drills/harness/ground.ts';

export type Machine = Readonly<Record<string, string>>;

export async function describeMachine({ mysql, shards, rabbitmq }: Ground): Promise<Machine> {
  const processors = cpus();
  return {
    system: `${type()} ${release()}`,
    distribution: distribution(),
    processor: `${processors[0]?.model.trim() ?? 'unknown'}, ${processors.length} cores`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    'load average at the start': loadavg()
      .map((load) => load.toFixed(2))
      .join(', '),
    ringfill: `${packageVersion()}${commit()}`,
    'Node.js': process.version,
    MySQL: `${mysql.flavour} ${mysql.version}`,
    Redis: await redisVersion(shards[0]?.server.port ?? 0),
    RabbitMQ: versionIn(rabbitmq.logFile, /RabbitMQ (\d[\d.]*)/),
    nginx: versionOf('nginx', '-v', /nginx\/(\S+)/),
    twemproxy: versionOf('nutcracker', '--version', /nutcracker-(\S+)/),
    wrk: versionOf('wrk', '--version', /wrk (?:debian\/)?(\S+)/),
  };
}

function distribution(): string {
  try {
    return /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown';
  } catch {
    return 'unknown';
  }
}

function commit(): string {
  const { stdout } = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: import.meta.dirname, encoding: 'utf8' });
  return typeof stdout === 'string' && stdout.trim() !== '' ? `, commit ${stdout.trim()}` : '';
}

async function redisVersion(port: number): Promise<string> {
  const redis = new Redis(port, { retryStrategy: () => null });
  try {
    return /redis_version:(\S+)/.exec(await redis.info('server'))?.[1] ?? 'unknown';
  } finally {
    redis.disconnect();
  }
}

function versionIn(file: string, pattern: RegExp): string {
  return pattern.exec(readFileSync(file, 'utf8'))?.[1] ?? 'unknown';
}

function versionOf(file: string, argument: string, pattern: RegExp): string {
  const { stdout, stderr, error } = spawnSync(file, [argument], { encoding: 'utf8' });
  return error === undefined ? (pattern.exec(`${stdout} ${stderr}`)?.[1] ?? 'installed') : 'not installed';
}

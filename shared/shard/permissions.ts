/**
 * What an account of a shard's Redis has to be allowed: the commands that each process sends, and those that its scripts
 * call, for Redis asks for both. A test has nothing but these, and uses each.
 */

const BOTH = ['ping', 'mget', 'get', 'set', 'del', 'pttl', 'eval', 'evalsha'];
const GATEWAY_WITH_SYNC = ['getrange', 'multi', 'exec', 'hgetall'];
const WORKER = [
  ['getrange', 'exists', 'type', 'unlink', 'pexpire', 'rename', 'scan', 'dbsize', 'info'],
  ['hget', 'hgetall', 'hmget', 'hset', 'hdel', 'hexists', 'hincrby'],
].flat();

export type ShardUser = 'gateway' | 'gateway without sync' | 'sync worker';

export function commandsOf(user: ShardUser): readonly string[] {
  switch (user) {
    case 'gateway without sync':
      return BOTH;
    case 'gateway':
      return [...BOTH, ...GATEWAY_WITH_SYNC];
    case 'sync worker':
      return [...BOTH, ...WORKER];
  }
}

/** As Redis takes it. A database other than 0 wants `+select` beside it. @param password as redis-cli is to be told. */
export function aclRule(account: string, user: ShardUser, keyPrefix: string, password: string): string {
  const commands = commandsOf(user).map((command) => `+${command}`);
  return `ACL SETUSER ${account} reset on >${password} ~${keyPrefix}* ${commands.join(' ')}`;
}

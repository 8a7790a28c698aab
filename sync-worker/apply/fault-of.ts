/**
 * Whose fault it is that a message could not be applied: the shard's, and it will be repeated; or the message's own, and
 * it never can be. Whoever takes weather for the message's fault throws good changes away, so that needs proof: the
 * script itself stumbled over what it was given.
 */
import type { ShardUnavailable } from '../../shared/errors/errors.ts';

/** Redis adds where in the script it was; its replies about itself begin with words of their own (OOM, READONLY, …). */
const STUMBLED = /^(?:ERR|WRONGTYPE) .*(?:user_script|script: [0-9a-f]{40})/s;
/** Of those, what is said of the account or by an operator. */
const NOT_ITS_FAULT = /The user executing the script|Script killed by user/;

export type Fault = 'shard' | 'message';

export function faultOf({ cause }: ShardUnavailable): Fault {
  // The driver could not even make a command of it.
  if (cause instanceof RangeError || cause instanceof TypeError) return 'message';
  if (!(cause instanceof Error) || cause.name !== 'ReplyError') return 'shard';
  return STUMBLED.test(cause.message) && !NOT_ITS_FAULT.test(cause.message) ? 'message' : 'shard';
}

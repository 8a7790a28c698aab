/**
 * Parts of the protocol that do not stand in a script or in shared/stamp: the simulated gateway and capture leave them
 * out when told to, so that the model shows what they are for.
 */
export type Mistake =
  | 'plain read as exact'
  | 'absence as exact'
  | 'position after the single read'
  | 'replica without waiting'
  | 'asOf not looked at'
  | 'asOf is now'
  | 'gtid of the transactions before the part'
  | 'to past what was not published'
  | 'a replaced capture begins an epoch'
  | 'an older epoch’s checkpoint'
  | 'the lease’s entry unjudged';

export type Mistakes = ReadonlySet<Mistake>;

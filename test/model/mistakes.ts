/**
 * Parts of the protocol that do not stand in a script or in shared/stamp: the simulated gateway, capture and snapshotter
 * leave them out when told to, so that the model shows what they are for.
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
  | 'the lease’s entry unjudged'
  | 'a copy as of now'
  | 'a copy as of the stamp'
  | 'what was answered is forgotten'
  | 'inexact answers as exact'
  | 'second-hand as first-hand'
  | 'kept whatever was told meanwhile'
  | 'confirmed before all was told'
  | 'our own fill is told of later'
  | 'replies do not count'
  | 'another feed goes on from the one before'
  | 'the committed keys first'
  | 'the committed keys only'
  | 'the written keys only'
  | 'progress past what is left over'
  | 'what is left over is forgotten'
  | 'what is locked is not there'
  | 'another server’s rows'
  | 'an end ahead of the stamp'
  | 'the stamp before the mirrored row'
  | 'the mirrored row before the stamp';

export type Mistakes = ReadonlySet<Mistake>;

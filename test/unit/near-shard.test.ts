/** What a gateway's memory may say of a shard: the races as numbered steps, each of which must not be answered with. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BELIEVED_MS, NearShard } from '../../shared/shard/near/near-shard.ts';
import { NearStore } from '../../shared/shard/near/near-store.ts';
import { RecentChanges } from '../../shared/shard/near/recent-changes.ts';
import type { SeenStamp } from '../../shared/stamp/stamp-reader.ts';

const KEY = 'shop_users_1';
const [OLD, NEW] = [Buffer.from('old'), Buffer.from('new')];

function seen(to: number, more: Partial<SeenStamp['stamp']> = {}, wentBack = false): SeenStamp {
  const version = (of: number) => String(of).padStart(45, '0');
  const stamp = { plan: 1, to: version(to), floor: version(0), asOf: 1_000 + to, origin: 'o', gtid: '' };
  const rest = { rings: { h: version(0) }, tables: { t: version(0) }, holes: [], complete: {} };
  return { stamp: { ...stamp, ...rest, ...more }, wentBack, since: 0 };
}

class World {
  now = 0;
  readonly store = new NearStore(1_048_576);
  readonly near = new NearShard(this.store, ['shop_users_'], () => this.now);

  /** Changes are told, and nothing is outstanding. */
  static listening(): World {
    const world = new World();
    world.near.listens();
    return world;
  }

  read(bytes: Buffer | null, stamp = seen(1), key = KEY): void {
    this.near.replied(this.near.asks(), [key], [bytes], stamp);
  }

  confirm(stamp = seen(1)): void {
    this.near.replied(this.near.asks(), [], [], stamp);
    this.near.confirmed(stamp, this.now);
  }

  get answer(): string | undefined {
    return this.near.near(KEY)?.near.stored;
  }
}

test('a reply is answered with once a stamp is confirmed, and with that stamp', () => {
  const world = World.listening();
  world.read(OLD);
  assert.equal(world.answer, undefined);
  const confirmed = seen(5);
  world.confirm(confirmed);
  assert.equal(world.answer, 'old');
  assert.equal(world.near.near(KEY)?.seen, confirmed);
});

describe('the reply and the news come over two connections', () => {
  test('1 sent, 2 executed, 3 changed, 4 told, 5 replied: it is not kept', () => {
    const world = World.listening();
    const asked = world.near.asks();
    world.near.changed(KEY);
    world.near.replied(asked, [KEY], [OLD], seen(1));
    world.confirm();
    assert.equal(world.answer, undefined);
  });

  test('1 sent, 2 executed, 3 replied, 4 changed, 5 told: it goes', () => {
    const world = World.listening();
    world.read(OLD);
    world.confirm();
    world.near.changed(KEY);
    assert.equal(world.answer, undefined);
  });

  test('1 changed, 2 sent, 3 executed, 4 told, 5 replied: it is not kept, for nobody knows; the next one is', () => {
    const world = World.listening();
    const asked = world.near.asks();
    world.near.changed(KEY);
    world.near.replied(asked, [KEY], [NEW], seen(2));
    world.confirm(seen(2));
    assert.equal(world.answer, undefined);
    world.read(NEW, seen(2));
    assert.equal(world.answer, 'new');
  });

  test('another key’s change takes nothing', () => {
    const world = World.listening();
    const asked = world.near.asks();
    world.near.changed('shop_users_2');
    world.near.replied(asked, [KEY], [OLD], seen(1));
    world.confirm();
    assert.equal(world.answer, 'old');
  });

  test('all keys are told of, or too many to remember: no reply that was under way is kept', () => {
    for (const tell of [
      (world: World) => world.near.forget(),
      (world: World) => {
        for (let key = 0; key < 30_000; key += 1) world.near.changed(`shop_users_x${key}`);
      },
    ]) {
      const world = World.listening();
      const asked = world.near.asks();
      tell(world);
      world.near.replied(asked, [KEY], [OLD], seen(1));
      world.confirm();
      assert.equal(world.answer, undefined);
    }
  });

  test('1 sent, 2 the feed is lost, 3 changed, 4 another feed stands, 5 replied: it is not kept', () => {
    const world = World.listening();
    const asked = world.near.asks();
    world.near.lost();
    world.near.listens();
    world.near.replied(asked, [KEY], [OLD], seen(1));
    world.confirm();
    assert.equal(world.answer, undefined);
  });
});

describe('time only runs forward', () => {
  test('what the shard itself replies takes the place of what is here, before it is told', () => {
    const world = World.listening();
    world.read(OLD);
    world.confirm();
    world.read(NEW, seen(2));
    assert.equal(world.answer, 'new');
    world.read(null, seen(3));
    assert.equal(world.answer, undefined);
  });

  test('a fill of our own is not gone back from while Redis has not told of it', () => {
    const world = World.listening();
    world.read(OLD);
    world.confirm();
    world.near.changed(KEY);
    assert.equal(world.answer, undefined);
  });
});

describe('nothing is answered with', () => {
  test('once the feed is lost, or all was told to have changed, until a stamp is confirmed anew', () => {
    const world = World.listening();
    world.read(OLD);
    world.confirm();
    world.near.lost();
    world.confirm();
    world.read(OLD);
    assert.equal(world.answer, undefined);
    world.near.listens();
    world.confirm();
    assert.equal(world.answer, undefined);
    world.read(OLD);
    assert.equal(world.answer, 'old');
  });

  test('when the last confirmation began too long ago', () => {
    const world = World.listening();
    world.read(OLD);
    world.confirm();
    world.now += BELIEVED_MS;
    assert.equal(world.answer, 'old');
    world.now += 1;
    assert.equal(world.answer, undefined);
    world.confirm();
    assert.equal(world.answer, 'old');
  });

  test('when the stamp went back', () => {
    const world = World.listening();
    world.read(OLD);
    world.confirm();
    world.read(NEW, seen(0, {}, true), 'shop_users_2');
    assert.equal(world.answer, undefined);
    world.near.confirmed(seen(0, {}, true), 0);
    world.read(OLD, seen(0, {}, true));
    assert.equal(world.answer, undefined);
  });

  test('by a stamp that a reply has overtaken in what counts, though its confirmation ends later', () => {
    const version = '9'.repeat(45);
    for (const more of [{ floor: version }, { tables: { t: version } }, { rings: {} }, { plan: 2 }]) {
      const world = World.listening();
      world.read(OLD);
      world.confirm();
      world.read(OLD, seen(2, more), 'shop_users_2');
      assert.equal(world.answer, undefined);
      world.near.confirmed(seen(1), 0);
      assert.equal(world.answer, undefined);
      world.confirm(seen(3, more));
      assert.equal(world.answer, 'old');
    }
  });

  test('under a key of whose changes nobody is told', () => {
    const world = World.listening();
    world.near.replied(world.near.asks(), ['shop_orders_1'], [OLD], seen(1));
    world.confirm();
    assert.equal(world.near.near('shop_orders_1'), undefined);
  });
});

test('so many changes are remembered as there is room for, and then none is taken for unchanged', () => {
  const changes = new RecentChanges(3);
  const before = changes.mark;
  changes.note('a');
  assert.ok(changes.hasChanged('a', before));
  assert.ok(!changes.hasChanged('b', before));
  assert.ok(!changes.hasChanged('a', changes.mark));
  for (const key of ['b', 'c', 'd']) changes.note(key);
  assert.ok(changes.hasChanged('never told', before));
  assert.ok(!changes.hasChanged('a', changes.mark));
});

/** What every object inherits, before and after: whoever writes there has changed the whole process. */

const WATCHED: readonly object[] = [
  ...[Object, Array, Function, String, Number, Boolean, Map, Set, Promise, RegExp, Date, Error, Buffer, Uint8Array].map(
    ({ prototype }) => prototype as object,
  ),
  Object,
  Array,
  JSON,
  Math,
  Reflect,
];

export class Prototypes {
  readonly #before = WATCHED.map((watched) => Object.getOwnPropertyDescriptors(watched) as PropertyDescriptorMap);

  /** Throws where one of them has gained, lost or changed a member. */
  check(): void {
    for (const [index, watched] of WATCHED.entries()) {
      const before = this.#before[index] as PropertyDescriptorMap;
      const names = Reflect.ownKeys(watched);
      const isSame = (name: PropertyKey) => {
        const now = Object.getOwnPropertyDescriptor(watched, name);
        const then = before[name as string];
        return then !== undefined && now?.value === then.value && now?.get === then.get && now?.set === then.set;
      };
      const changed = names.find((name) => !isSame(name));
      if (changed !== undefined || names.length !== Reflect.ownKeys(before).length) {
        throw new Error(`what every object inherits was changed: ${String(changed ?? 'a member is gone')}`);
      }
    }
  }
}

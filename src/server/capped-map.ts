/**
 * A map that forgets its oldest entry when it is full, so that nobody can make it grow by using ever new keys.
 * The oldest is the one set first: with windows of one length also the first to end.
 */
export class CappedMap<Key, Value> extends Map<Key, Value> {
  readonly #capacity: number;
  // One iterator for good: a fresh one would step over all that was ever deleted at the front.
  readonly #oldest: MapIterator<Key>;

  constructor(capacity: number) {
    super();
    this.#capacity = capacity;
    this.#oldest = this.keys();
  }

  override set(key: Key, value: Value): this {
    this.delete(key);
    while (this.size >= this.#capacity) this.delete(this.#oldest.next().value as Key);
    return super.set(key, value);
  }
}

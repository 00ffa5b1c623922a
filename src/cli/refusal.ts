/** A command that could not do what was asked, or was told not to. The message says why and what would help. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}

/** Ctrl-C while we asked. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';

  constructor() {
    super('interrupted, nothing was changed');
  }
}

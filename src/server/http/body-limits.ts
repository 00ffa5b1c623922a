import { Problem } from '../../problems.ts';

/** In bytes. */
export const bodyLimit = 64 * 1024;

/** Max values in one post. The page for a refused post shows all of them, which costs more than sending them. */
export const maxValues = 100;

/** @param limit in bytes. */
export function bodyTooLarge(limit: number): Problem {
  return new Problem('body-too-large', `the body must be no larger than ${limit / 1024} KiB`);
}

/** Thrown while the body is read, before anything works on the values. */
export function tooManyValues(): Problem {
  const message = `there must be no more than ${maxValues} values`;
  return new Problem('fields-invalid', message, { faults: [{ field: '', code: 'too-many', message }] });
}

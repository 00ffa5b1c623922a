import { Problem } from '../../problems.ts';

/** The largest body that is read, in bytes. */
export const bodyLimit = 64 * 1024;

/** Max values in one post. A refused post is printed on a page, so each value costs more to answer than to send. */
export const maxValues = 100;

/** Thrown while the body is read, so that nothing later does work for each value. */
export function tooManyValues(): Problem {
  const message = `there must be no more than ${maxValues} values`;
  return new Problem('fields-invalid', message, { faults: [{ field: '', code: 'too-many', message }] });
}

import type { Submission } from '../../../services/intake/check-fields.ts';
import type { Stored } from '../../../services/intake/verdict.ts';
import type { ProblemDetails } from '../../http/problem-details.ts';

/** How a program at the other end wants to be told what became of its post. Browsers get pages in all of them. */
export interface Dialect {
  stored(taken: Taken): { status: number; body: object };
  /** Without a status it is that of the problem. */
  problem(
    details: ProblemDetails,
    posted: ReadonlyMap<string, unknown> | undefined,
  ): { status?: number; type: string; body: object };
}

/** A submission that was stored. */
export interface Taken {
  stored: Stored;
  submission: Submission;
  /** Where the visitor goes from here, as a whole address. */
  next: string;
}

/** A text that stands in the middle of things as a sentence of its own. */
export function sentence(text: string): string {
  return `${text[0]?.toUpperCase()}${text.slice(1)}.`;
}

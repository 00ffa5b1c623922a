import type { Submission } from '../../../services/intake/check-fields.ts';
import type { Stored } from '../../../services/intake/verdict.ts';
import type { ProblemDetails } from '../../http/problem-details.ts';

/** How programs expect their posts to be answered. Browsers get the same pages in every dialect. */
export interface Dialect {
  /** Whether a post needs no fields unless the form itself says so. */
  takesAnyFields?: true;
  stored(post: StoredPost): { status: number; body: object };
  /** Without a status, the problem's is used. */
  problem(
    details: ProblemDetails,
    posted: ReadonlyMap<string, unknown> | undefined,
  ): { status?: number; type: string; body: object };
}

export interface StoredPost {
  stored: Stored;
  submission: Submission;
  /** The full address of the visitor's next page. */
  next: string;
}

/** Capital letter first, full stop last, unless the operator's own words have an end. */
export function sentence(text: string): string {
  return `${text[0]?.toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? '' : '.'}`;
}

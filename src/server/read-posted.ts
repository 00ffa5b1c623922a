import type { Context } from 'koa';
import type { Submission } from '../services/intake/check-fields.ts';
import { readSubmission } from './read-submission.ts';
import type { RequestState } from './request-scope.ts';

/** Keeps what was posted at hand as well, for a page that lets the visitor correct it. */
export async function readPosted(ctx: Context & { state: RequestState }, formSlug: string): Promise<Submission> {
  const submission = await readSubmission(ctx, formSlug);
  ctx.state.posted = submission.values;
  return submission;
}

import type { RouterContext } from '@koa/router';
import { findOpenForm } from '../../services/forms/forms.ts';
import { readNext } from '../../services/forms/origins.ts';
import type { Submission } from '../../services/intake/check-fields.ts';
import { submitMessage } from '../../services/intake/submit-message.ts';
import type { Scope } from '../../services/scope.ts';
import type { RequestState } from '../http/request-scope.ts';
import { wantsPage } from '../http/wants-page.ts';
import { dialectOf } from './dialects/index.ts';
import { readPosted } from './read-submission.ts';

/**
 * Takes one post from reading to storing, for every address that takes messages. Browsers without script are sent
 * on; programs are told in the dialect of the address.
 *
 * @throws {Problem} what reading and submitting throw; nothing is stored then. After any other error, nobody knows whether it was stored.
 */
export async function takeSubmission(ctx: RouterContext<RequestState>, formSlug: string): Promise<void> {
  const { scope, intake } = ctx.state;
  const submission = await readPosted(ctx, formSlug);
  const isPage = wantsPage(ctx);
  // Read before anything is stored: nothing after that may fail.
  ctx.state.next = await readNextOf(scope, submission, isPage);
  const stored = await submitMessage(scope, intake, submission);
  ctx.state.stored = { message: stored.id, receipt: stored.receipt, repeated: stored.repeated };

  const thanks = `${scope.config.publicUrl}/thanks?receipt=${stored.receipt}`;
  if (isPage) {
    ctx.status = 303;
    ctx.set('Location', ctx.state.next ?? thanks.slice(new URL(thanks).origin.length));
    ctx.body = '';
  } else {
    const told = dialectOf(ctx.path).stored({
      stored,
      submission,
      next: ctx.state.next ?? stored.redirectUrl ?? thanks,
    });
    ctx.status = told.status;
    ctx.body = told.body;
  }
}

/** Where the visitor goes next; for a page also where the form leads. Reads the form at most once. */
async function readNextOf(scope: Scope, submission: Submission, isPage: boolean): Promise<string | undefined> {
  const wanted = wantedNext(submission);
  if (wanted === undefined && !isPage) return undefined;
  let asked: ReturnType<typeof findOpenForm> | undefined;
  const readForm = () => (asked ??= findOpenForm(scope, submission.formSlug));
  const next = await readNext(scope.config, async () => (await readForm()).origins, wanted);
  return next === undefined && isPage ? ((await readForm()).redirectUrl ?? undefined) : next;
}

/** `_redirect` is what other services call it. */
function wantedNext({ values }: Submission): unknown {
  return values.get('_next') || values.get('_redirect') || undefined;
}

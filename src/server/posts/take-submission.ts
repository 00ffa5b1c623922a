import type { RouterContext } from '@koa/router';
import { findOpenForm } from '../../services/forms/forms.ts';
import { readNext } from '../../services/forms/origins.ts';
import type { Submission } from '../../services/intake/check-fields.ts';
import { submitMessage } from '../../services/intake/submit-message.ts';
import type { RequestState } from '../http/request-scope.ts';
import { wantsPage } from '../http/wants-page.ts';
import { dialectOf } from './dialects/index.ts';
import { readPosted } from './read-submission.ts';

/**
 * Takes one post from reading to storing, for every address that takes messages. Browsers without script are sent
 * on; programs are told in the dialect of the address.
 *
 * @throws {Problem} what reading and submitting throw; nothing is stored then. Of what else is thrown nobody knows.
 */
export async function takeSubmission(ctx: RouterContext<RequestState>, formSlug: string): Promise<void> {
  const { scope, intake } = ctx.state;
  const submission = await readPosted(ctx, formSlug);
  // Before anything is stored: what comes after it must not fail.
  const mayLead = wantedNext(submission) !== undefined || wantsPage(ctx);
  ctx.state.next = mayLead ? await nextOf(ctx, submission) : undefined;
  const stored = await submitMessage(scope, intake, submission);
  ctx.state.stored = { message: stored.id, receipt: stored.receipt, repeated: stored.repeated };

  const thanks = `${scope.config.publicUrl}/thanks?receipt=${stored.receipt}`;
  if (wantsPage(ctx)) {
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

async function nextOf(ctx: RouterContext<RequestState>, submission: Submission): Promise<string | undefined> {
  const { scope } = ctx.state;
  const form = async () => await findOpenForm(scope, submission.formSlug);
  const next = await readNext(scope.config, async () => (await form()).origins, wantedNext(submission));
  if (next !== undefined || !wantsPage(ctx)) return next;
  // Known before the message is stored, so that a page of ours that lets the visitor correct it may lead there.
  return (await form()).redirectUrl ?? undefined;
}

/** `_redirect` is what other services call it. */
function wantedNext({ values }: Submission): unknown {
  return values.get('_next') || values.get('_redirect') || undefined;
}

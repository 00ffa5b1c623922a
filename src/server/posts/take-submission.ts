import type { RouterContext } from '@koa/router';
import { findOpenForm } from '../../services/forms/forms.ts';
import { readNext } from '../../services/forms/origins.ts';
import type { Submission } from '../../services/intake/check-fields.ts';
import { submitMessage } from '../../services/intake/submit-message.ts';
import type { Scope } from '../../services/scope.ts';
import { bodyLimit } from '../http/body-limits.ts';
import type { RequestState } from '../http/request-scope.ts';
import { thanksPath } from '../http/thanks-path.ts';
import { wantsPage } from '../http/wants-page.ts';
import { dialectOf } from './dialects/index.ts';
import { readSubmission } from './read-submission.ts';

/**
 * Reads and stores a post, on every route for messages. Redirects browsers without script; answers programs in the dialect
 * of the route.
 *
 * @throws {Problem} from reading and submitting; then nothing is stored. After any other error it may have been stored.
 */
export async function takeSubmission(ctx: RouterContext<RequestState>, formSlug: string): Promise<void> {
  const { scope, intake } = ctx.state;
  using _memory = intake.memory.take(Math.min(ctx.request.length ?? bodyLimit, bodyLimit));
  const submission = await readSubmission(ctx, formSlug);
  const isPage = wantsPage(ctx);
  // Before the message is stored: nothing after that may fail.
  ctx.state.next = await readNextOf(scope, submission, isPage);
  const stored = await submitMessage(scope, intake, submission);
  ctx.state.stored = { message: stored.id, receipt: stored.receipt, repeated: stored.repeated };

  const thanks = `${scope.config.publicUrl}${thanksPath(scope.config, stored.form, submission.values, stored.receipt)}`;
  if (isPage) {
    ctx.status = 303;
    ctx.set('Location', ctx.state.next ?? thanks.slice(new URL(thanks).origin.length));
    ctx.body = '';
  } else {
    const next = ctx.state.next ?? stored.form.redirectUrl ?? thanks;
    const { status, body } = dialectOf(ctx.path).stored({ stored, submission, next });
    ctx.status = status;
    ctx.body = body;
  }
}

/** Where to send the visitor: `_next` if it is allowed, or for a page the form's redirect. Reads the form at most once. */
async function readNextOf(scope: Scope, submission: Submission, isPage: boolean): Promise<string | undefined> {
  // Other services call it `_redirect`.
  const wanted = submission.values.get('_next') || submission.values.get('_redirect') || undefined;
  if (wanted === undefined && !isPage) return undefined;
  let form: ReturnType<typeof findOpenForm> | undefined;
  const readForm = () => (form ??= findOpenForm(scope, submission.formSlug));
  const next = await readNext(scope.config, async () => (await readForm()).origins, wanted);
  return next === undefined && isPage ? ((await readForm()).redirectUrl ?? undefined) : next;
}

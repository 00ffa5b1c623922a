import type { Call } from '../../session/command.ts';
import { everySecond } from '../../session/every-second.ts';
import { setExitCode } from '../../session/results.ts';
import { plural } from '../../terminal/output.ts';
import { showProgress } from '../../terminal/progress.ts';

const load = () => import('../../../services/emails/describe-emails.ts');

/** Waits until these emails are sent or given up. Exits 1 if one was not sent. */
export async function waitForEmails(
  call: Call<unknown>,
  ids: readonly string[],
  stop: AbortSignal,
  isRefused: boolean,
): Promise<{ sent: number; queued: number }> {
  const { deps, options, output } = call;
  let now = { sent: 0, queued: ids.length };
  using progress = showProgress(deps, options, undefined, `of ${plural(ids.length, 'email')} sent`);
  if (ids.length > 0)
    await everySecond(call, stop, load, async (scope, { readProgress }) => {
      now = await readProgress(scope, ids);
      progress.report(now.sent);
      return now.queued > 0;
    });
  progress.clear();
  const { sent, queued } = now;
  const lost = ids.length - sent - queued;
  if (queued > 0)
    output.note(`${plural(queued, 'email')} not sent yet, and still queued: ruffinweb emails list --state queued`);
  if (lost > 0) output.note(`${plural(sent, 'email')} sent, ${lost} not: ruffinweb emails list --state failed`);
  else if (sent > 0) output.note(`${plural(sent, 'email')} sent`);
  setExitCode(deps, stop, isRefused || lost > 0);
  return now;
}

import { msSql } from '../../database/statement.ts';
import type { HeldMessage, HeldSummaryContent } from '../../mail/compose/held-summary.ts';
import { heldInWords, heldReasonWords } from '../../words.ts';
import { dayMs } from '../clock.ts';
import type { Scope } from '../scope.ts';
import { openContent, openOrNull } from '../sealed-values.ts';
import { signReleaseLink } from '../signed-links.ts';
import type { ClaimedEmail } from './claim-due.ts';
import { heldSince, isOwner, joinCovered, notifyToOf, notifyToSql, overlapMs } from './held-summary.ts';

/** More than a person reads through. */
const maxShown = 50;

/** How long the links of a summary work, from its Date on. */
const linkDays = 14;

/** The strongest comes last. A reason of a later release counts as stronger. */
const knownReasons = Object.keys(heldReasonWords);

/** What a summary says: the same at every attempt, except for messages that were released or deleted meanwhile. */
export async function summariseHeld(scope: Scope, email: ClaimedEmail): Promise<HeldSummaryContent> {
  const { publicUrl, hasPublicUrl } = scope.config;
  const rows = await listCovered(scope, email.id);
  const { count = 0, after_ms: afterMs = null, oldest_ms: oldestMs = email.createdAt.getTime() } = rows[0] ?? {};
  return {
    count,
    since: new Date(afterMs === null ? oldestMs : afterMs + overlapMs),
    messages: rows.map((row) => describeHeld(scope, row, email.scheduledAt)),
    publicUrl,
    ...(hasPublicUrl && { linkDays }),
  };
}

function describeHeld({ config, keyring }: Scope, row: CoveredRow, summaryAt: Date): HeldMessage {
  const link = { message: row.id, heldSince: row.held_ms, endsAt: summaryAt.getTime() + linkDays * dayMs };
  return {
    receipt: row.receipt,
    formSlug: row.slug,
    receivedAt: new Date(row.received_ms),
    reasons: heldInWords(row.reasons),
    ...(config.heldExcerpt && { written: readWritten(keyring, row) }),
    ...(config.hasPublicUrl && { releaseUrl: `${config.publicUrl}/release?token=${signReleaseLink(keyring, link)}` }),
  };
}

/** A message whose key is missing must not keep back the others. */
function readWritten(keyring: Scope['keyring'], { id, content, sender_id, sender_address }: CoveredRow) {
  const sender = sender_address === null ? null : { id: sender_id, address: sender_address };
  const written = openOrNull(() => openContent(keyring, { id, content, sender }));
  if (written === null) return { text: '(cannot be decrypted)' };
  return { ...written, text: written.text.trim() || written.extra.map(([, value]) => value).join(', ') };
}

/** Whether a summary still has messages to list. */
export async function isAnyHeld(scope: Scope, email: Pick<ClaimedEmail, 'id'>): Promise<boolean> {
  const covered = `select from emails ${joinCovered(isOwner(notifyToSql))} where emails.id = ? limit 1`;
  return (await scope.em.execute(covered, [notifyToOf(scope.config), email.id])).length > 0;
}

interface CoveredRow {
  count: number;
  after_ms: number | null;
  oldest_ms: number;
  id: string;
  receipt: string;
  slug: string;
  received_ms: number;
  held_ms: number;
  reasons: string[];
  content: Buffer;
  /** Set if there is an address. */
  sender_id: string;
  sender_address: Buffer | null;
}

/**
 * The held messages that a summary covers, each with the count of all of them: those with the fewest reasons first, then those
 * whose strongest reason is weak, then the newest. So a person finds what was held by mistake at the top.
 */
async function listCovered(scope: Scope, id: string): Promise<CoveredRow[]> {
  return await scope.em.execute<CoveredRow[]>(
    `select count(*) over ()::int as count, ${msSql('emails.covers_after')} as after_ms,
       ${msSql('min(messages.received_at) over ()')} as oldest_ms,
       messages.id, messages.receipt, forms.slug, ${msSql('messages.received_at')} as received_ms,
       ${msSql(heldSince)} as held_ms, messages.reasons, messages.content,
       senders.id as sender_id, senders.address as sender_address
     from emails ${joinCovered(isOwner(notifyToSql))}
       left join senders on senders.id = messages.sender_id
     where emails.id = ?
     order by cardinality(messages.reasons),
       (select max(coalesce(array_position('{${knownReasons.join(',')}}', reason), ${knownReasons.length + 1}))
        from unnest(messages.reasons) as reason),
       messages.id desc
     limit ${maxShown}`,
    [notifyToOf(scope.config), id],
  );
}

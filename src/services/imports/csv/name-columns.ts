import { plainLine } from '../../../plain-line.ts';
import { Problem } from '../../../problems.ts';
import { fieldLimits } from '../../forms/fields.ts';

/** Usual headers for each part of a message, as `comparable` writes them, the preferred one first. */
const usualNames: Readonly<Record<string, readonly string[]>> = {
  email: ['email', 'replyto', 'emailaddress', 'youremail'],
  name: ['name', 'fullname', 'yourname'],
  subject: ['subject', 'yoursubject'],
  message: ['message', 'yourmessage', 'comments', 'body'],
  receivedAt: ['receivedat', 'createdat', 'submittedat', 'submittedon', 'submissiondate', 'timestamp', 'date'],
};

/**
 * The part of a message that each column becomes, or else the name of its further field; empty if it is left out.
 *
 * @param map the header for a part or a field's name. An empty one leaves out the column of that name.
 * @throws {Problem} argument-invalid
 */
export function nameColumns(header: readonly string[], map: ReadonlyMap<string, string>): string[] {
  const headers = header.map(tidy);
  const names: (string | undefined)[] = headers.map(() => undefined);
  const find = (wanted: string) =>
    headers.findIndex((it, index) => names[index] === undefined && comparable(it) === comparable(wanted));
  const isMapped = new Set<string>();
  for (const [target, wanted] of map) {
    const part = Object.keys(usualNames).find((it) => comparable(it) === comparable(target)) ?? tidy(target);
    const column = find(tidy(wanted || target));
    if (column < 0) throw refuse(`there is no column "${wanted || target}", or it has two names`, headers);
    names[column] = wanted && part;
    isMapped.add(part);
  }
  for (const [part, usual] of Object.entries(usualNames)) {
    const column = usual.map(find).find((it) => it >= 0);
    if (!isMapped.has(part) && column !== undefined) names[column] = part;
  }
  // Every export has dates. Without them each message would count as new.
  if (!names.includes('receivedAt')) throw refuse('no column is receivedAt, the date', headers);
  // Two further fields cannot have one name.
  const isFree = (it: string, index: number) => it !== '' && !names.includes(it) && headers.indexOf(it) === index;
  return headers.map((it, index) => names[index] ?? (isFree(it, index) ? it : `${it || 'column'} ${index + 1}`));
}

function refuse(why: string, headers: readonly string[]): Problem {
  return new Problem('argument-invalid', `${why}: the first line has "${headers.join('", "')}"`);
}

/** As the name of a field may be; a number fits behind it. */
function tidy(header: string): string {
  return plainLine(header)
    .normalize()
    .slice(0, fieldLimits.extraName - 4);
}

/** The same for `created_at`, `Created At` and `createdAt`. */
function comparable(header: string): string {
  return header.toLowerCase().replaceAll(/[\s_-]/g, '');
}

import type { Created } from '../../../services/backup/create-backup.ts';
import type { Restored } from '../../../services/backup/finish-restore.ts';
import type { Backup, Manifest } from '../../../services/backup/manifest.ts';
import { adviceWords } from '../../session/advice.ts';
import type { Call } from '../../session/command.ts';
import { type Fact, plural } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';

type Described = Pick<Backup, 'dir' | 'manifest'>;

export const bytesOf = ({ tables }: Manifest) => tables.reduce((sum, it) => sum + it.bytes, 0);

function printBackup({ output }: Call, { dir, manifest }: Described, ...more: Fact[]): void {
  const { program, snapshotAt, keys, tables, files } = manifest;
  const count = (name: string, noun: string) => plural(tables.find((it) => it.name === name)?.rows ?? 0, noun);
  const needed = keys.filter((it) => it.rows > 0).map((it) => `${it.id} (${plural(it.rows, 'row')})`);
  output.printDetails([
    ['backup', dir, output.style.bold],
    ['taken', `${output.exactTime(snapshotAt)} by release ${program}`],
    ['contains', [count('messages', 'message'), count('senders', 'sender'), count('emails', 'email')].join(', ')],
    ['size', `${formatSize(bytesOf(manifest))}, ${plural(files.length, 'file')} besides the tables`],
    ['needs keys', needed.join(', ') || 'none'],
    ...more,
  ]);
}

function formatSize(bytes: number): string {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export function printCreated(call: Call, created: Created): void {
  printBackup(call, created);
  call.output.note(
    `\nKeep the keys in another place. Check that it can be restored: ruffinweb backup verify ${created.dir}`,
  );
  if (created.unfinished.length === 0) return;
  const folders = created.unfinished.map((it) => showSafe(it)).join('\n  ');
  call.output.warn(`\nUnfinished, from runs that were killed; delete them unless another backup runs:\n  ${folders}`);
}

export function printVerified(call: Call, backup: Backup, opened: number): void {
  const fact = `restored, counted, ${plural(opened, 'value')} decrypted`;
  printBackup(call, backup, ['verified', fact, call.output.style.good]);
}

export function printRestored(call: Call, backup: Backup, restored: Restored, isEmbedded: boolean): void {
  const { erasures, strangeLines, templates, queued, queuedSince, missingLog } = restored;
  const lacksLog = `no erasure log in ${missingLog}; if you have one elsewhere: ruffinweb senders erase --replay <file>`;
  const gone = `${plural(erasures.messages, 'message')} and ${plural(erasures.senders, 'sender')} are gone`;
  const people = erasures.records > 0 ? `${plural(erasures.records, 'person', 'people')}: ${gone}` : 'nobody';
  const since = queuedSince === null ? '' : `, the oldest since ${call.output.exactTime(queuedSince)}`;
  printBackup(
    call,
    backup,
    ['erased again', `${people}${missingLog === null ? '' : `: ${lacksLog}`}`],
    ['templates', templates === 'kept' ? 'those of DATA_DIR stay' : templates],
    ['mail', `paused; ${plural(queued, 'email')} queued${since}`, call.output.style.warning],
  );
  if (strangeLines > 0)
    call.output.warn(
      `\n${plural(strangeLines, 'line')} of the erasure log cannot be used: torn, changed, or from another database. If you have a better copy: ruffinweb senders erase --replay <file>`,
    );
  const start = isEmbedded ? 'start the server with "ruffinweb serve" (mail stays paused), then: ' : '';
  call.output.note(
    queued === 0
      ? `\nNext: ${start}${adviceWords['resume-hand']}`
      : `\nThe old server may have sent queued emails after the backup, and they would be sent twice.\nNext: ${start}${adviceWords['resume-restored']}`,
  );
}

import { join } from 'node:path';
import type { Config } from '../config/config.ts';

/** What it means that no mail can leave, and what mends it: without a mail server, the folder is at fault. */
export function describeNoWay({ smtp, dataDir }: Pick<Config, 'smtp' | 'dataDir'>): { fact: string; fix: string } {
  if (smtp !== undefined) {
    return {
      fact: 'the mail server does not let us in',
      fix: 'mend SMTP_HOST, SMTP_PORT, SMTP_USER, SMTP_PASSWORD or MAIL_FROM',
    };
  }
  return {
    fact: `mail cannot be written to ${join(dataDir, 'mail')}, while SMTP_HOST is not set`,
    fix: 'make that folder writable, or set DATA_DIR',
  };
}
